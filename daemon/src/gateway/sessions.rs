//! How many WebSocket sessions there may be, in all and for one account, and which gateway serves them: they outlast the one that let
//! them in when the daemon starts its parts anew under settings that are none of theirs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use bellwether_core::alert::UserId;

use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Gateway, auth::Caller, error::ApiError};

/// The most sessions of one account; the owner may have all.
pub(crate) const PER_ACCOUNT: usize = 16;
/// How long sessions wait for the next gateway.
const BETWEEN: Duration = Duration::from_secs(30);

/// Who serves the sessions.
#[derive(Clone, Debug)]
enum Serving {
    /// This one. It is not kept alive by them.
    By(Weak<Gateway>),
    /// Nobody for a moment.
    Between,
    /// Nobody any more.
    Over,
}

/// The sessions that are open, by account.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    /// The most sessions.
    all: usize,
    open: Arc<Mutex<HashMap<UserId, Open>>>,
    serving: Arc<watch::Sender<Serving>>,
}

/// The sessions of one account.
#[derive(Debug, Default)]
struct Open {
    count: usize,
    /// Cancelled when the account's tokens end.
    ended: CancellationToken,
}

/// The right to one session, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    sessions: Sessions,
    user: UserId,
    /// Cancelled when the account's tokens end, and the session with them.
    pub(crate) ended: CancellationToken,
}

impl Sessions {
    /// At most so many.
    pub(crate) fn new(all: u32) -> Self {
        let serving = Arc::new(watch::Sender::new(Serving::Over));
        Self { all: usize::try_from(all).unwrap_or(usize::MAX), open: Arc::default(), serving }
    }

    /// They go on with this gateway.
    pub(crate) fn served_by(&self, gateway: &Arc<Gateway>) {
        self.serving.send_replace(Serving::By(Arc::downgrade(gateway)));
    }

    /// The gateway is about to end, and another follows: sessions wait for it.
    pub(crate) fn pause(&self) {
        self.serving.send_replace(Serving::Between);
    }

    /// No gateway follows: sessions end.
    pub(crate) fn close(&self) {
        self.serving.send_replace(Serving::Over);
    }

    /// The gateway that follows the one that ends; nothing where none does.
    pub(crate) async fn next(&self) -> Option<Arc<Gateway>> {
        let mut serving = self.serving.subscribe();
        let settled = serving.wait_for(|now| !matches!(now, Serving::Between));
        match &*timeout(BETWEEN, settled).await.ok()?.ok()? {
            Serving::By(gateway) => gateway.upgrade().filter(|gateway| !gateway.stop.is_cancelled()),
            Serving::Between | Serving::Over => None,
        }
    }

    /// Takes a seat, where one is free.
    pub(crate) fn sit(&self, caller: Caller) -> Result<Seat, ApiError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&caller.user).map_or(0, |own| own.count);
        if open.values().map(|own| own.count).sum::<usize>() >= self.all || (own >= PER_ACCOUNT && !caller.owner) {
            let detail = format!("Too many WebSocket sessions: at most {}, {PER_ACCOUNT} of one account.", self.all);
            return Err(ApiError::Busy { detail, after: 10 });
        }
        let own = open.entry(caller.user).or_default();
        own.count += 1;
        let ended = own.ended.clone();
        drop(open);
        Ok(Seat { sessions: self.clone(), user: caller.user, ended })
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().map(|own| own.count).sum()
    }

    /// Ends the sessions of an account. Those that it opens afterwards are others.
    pub(crate) fn end(&self, user: UserId) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&user) {
            std::mem::take(&mut own.ended).cancel();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.sessions.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.user) {
            own.count -= 1;
            if own.count == 0 {
                open.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_cannot_take_all_seats() {
        let sessions = Sessions::new(64);
        let caller = |user, owner| Caller { user: UserId(user), owner, expires: None };
        let mut seats: Vec<Seat> = (0..PER_ACCOUNT).map(|_| sessions.sit(caller(2, false)).unwrap()).collect();
        assert!(sessions.sit(caller(2, false)).is_err());
        seats.extend((PER_ACCOUNT..64).map(|_| sessions.sit(caller(1, true)).unwrap()));
        assert!(sessions.sit(caller(3, false)).is_err());
        seats.pop();
        assert!(sessions.sit(caller(3, false)).is_ok());
        sessions.end(UserId(2));
        let later = sessions.sit(caller(1, true)).unwrap();
        assert!(seats.iter().filter(|seat| seat.ended.is_cancelled()).all(|seat| seat.user == UserId(2)));
        assert!(seats[0].ended.is_cancelled() && !later.ended.is_cancelled());
        drop(later);
        drop(seats);
        assert!(sessions.open.lock().unwrap().is_empty());
    }
}
