//! Folders and what may read them, and the port.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use bellwether_core::config::Config;

use super::Finding;

/// The data folder, and everything of ours in it: there, ours, and for nobody else (docs/reliability.md, P25).
pub fn folder(about: &str, folder: &Path) -> Vec<Finding> {
    let shown = folder.display();
    let known = match fs::metadata(folder) {
        Ok(known) => known,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return vec![Finding::fine(about, format!("{shown} is not there yet; the first start makes it"))];
        }
        Err(e) => {
            return vec![Finding::wrong(
                about,
                format!("{shown} cannot be looked at: {e}"),
                "free it, or name another with --data-dir",
            )];
        }
    };
    if !known.is_dir() {
        return vec![Finding::wrong(about, format!("{shown} is not a folder"), "name a folder with --data-dir")];
    }
    let mut found = Vec::new();
    let own = fs::metadata("/proc/self").map_or(known.uid(), |me| me.uid());
    if known.uid() != own {
        found.push(Finding::wrong(
            about,
            format!("{shown} belongs to another user"),
            "name a folder of your own with --data-dir (did you use sudo once?)",
        ));
    }
    if known.mode() & 0o022 != 0 {
        let said = format!("other users may write {shown}, so the daemon refuses it");
        found.push(Finding::wrong(about, said, format!("chmod 700 {shown}")));
    } else if known.mode() & 0o077 != 0 {
        found.push(Finding::wrong(about, format!("other users can read {shown}"), format!("chmod 700 {shown}")));
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let ours = ["bellwether.db", "daemon.", "dashboard.toml"];
        let name = entry.file_name().to_string_lossy().into_owned();
        let open = entry.metadata().is_ok_and(|about| about.is_file() && about.mode() & 0o077 != 0);
        if open && ours.iter().any(|begin| name.starts_with(begin)) {
            let path = entry.path();
            let said = format!("other users can read {}", path.display());
            found.push(Finding::wrong(about, said, format!("chmod 600 {}", path.display())));
        }
    }
    if found.is_empty() {
        found.push(Finding::fine(about, format!("{shown} is yours alone")));
    }
    found
}

/// Whether the address can be listened on, where no daemon of ours does.
pub fn port(config: &Config) -> Finding {
    let wanted = config.server.listen;
    let address = wanted.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8000)));
    match TcpListener::bind(address) {
        Ok(_) => Finding::fine("port", format!("{address} is free")),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && wanted.is_none() => Finding::note(
            "port",
            format!("another program listens on {address}: the daemon will take a free port"),
            "nothing, `bellwether` finds it; for scripts fix another one with `server.listen`",
        ),
        Err(e) => Finding::wrong(
            "port",
            format!("cannot listen on {address}: {e}"),
            "choose another address with `server.listen`, or stop what listens there",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use std::os::unix::fs::PermissionsExt as _;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    #[test]
    fn open_folders_and_files_are_named_with_the_command_to_type() {
        let place = tempfile::tempdir().expect("a folder");
        chmod(place.path(), 0o700);
        let all = |finding: &[Finding]| finding.iter().all(|f| f.verdict == Verdict::Fine);
        assert!(all(&folder("data", place.path())));
        let database = place.path().join("bellwether.db");
        fs::write(&database, "").expect("written");
        fs::write(place.path().join("else.txt"), "").expect("written");
        chmod(&database, 0o644);
        chmod(place.path(), 0o755);
        let found = folder("data", place.path());
        let todo: Vec<_> = found.iter().filter_map(|f| f.todo.clone()).collect();
        let expected = [format!("chmod 700 {}", place.path().display()), format!("chmod 600 {}", database.display())];
        assert_eq!(todo, expected);
        chmod(place.path(), 0o777);
        assert!(folder("data", place.path())[0].said.contains("may write"));
        assert!(all(&folder("data", &place.path().join("later"))));
        assert!(folder("data", &database)[0].said.contains("not a folder"));
    }

    #[test]
    fn a_port_that_is_fixed_and_taken_is_wrong_and_one_that_is_free_is_fine() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut config = Config::default();
        config.server.listen = Some(taken.local_addr().expect("an address"));
        let found = port(&config);
        assert_eq!(found.verdict, Verdict::Wrong);
        assert!(found.todo.is_some_and(|todo| todo.contains("server.listen")));
        drop(taken);
        assert_eq!(port(&config).verdict, Verdict::Fine);
    }
}
