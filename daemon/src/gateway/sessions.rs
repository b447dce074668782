//! How many WebSocket sessions there may be, in all and for one account.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bellwether_core::alert::UserId;

use super::{auth::Caller, error::ApiError};

/// The most sessions.
const IN_ALL: usize = 64;
/// The most sessions of one account; the owner may have all.
const PER_ACCOUNT: usize = 16;

/// The sessions that are open, by account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    open: Arc<Mutex<HashMap<UserId, usize>>>,
}

/// The right to one session, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    sessions: Sessions,
    user: UserId,
}

impl Sessions {
    /// Takes a seat, where one is free.
    pub(crate) fn sit(&self, caller: Caller) -> Result<Seat, ApiError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&caller.user).copied().unwrap_or(0);
        if open.values().sum::<usize>() >= IN_ALL || (own >= PER_ACCOUNT && !caller.owner) {
            let detail = format!("Too many WebSocket sessions: at most {IN_ALL}, {PER_ACCOUNT} of one account.");
            return Err(ApiError::Busy { detail, after: 10 });
        }
        open.insert(caller.user, own + 1);
        drop(open);
        Ok(Seat { sessions: self.clone(), user: caller.user })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.sessions.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
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
        let sessions = Sessions::default();
        let caller = |user, owner| Caller { user: UserId(user), owner, expires: None };
        let mut seats: Vec<Seat> = (0..PER_ACCOUNT).map(|_| sessions.sit(caller(2, false)).unwrap()).collect();
        assert!(sessions.sit(caller(2, false)).is_err());
        seats.extend((PER_ACCOUNT..IN_ALL).map(|_| sessions.sit(caller(1, true)).unwrap()));
        assert!(sessions.sit(caller(3, false)).is_err());
        seats.pop();
        assert!(sessions.sit(caller(3, false)).is_ok());
        drop(seats);
        assert!(sessions.open.lock().unwrap().is_empty());
    }
}
