//! The admin socket and the upgrade socket: private from the start, and other files are left unchanged.

use std::os::unix::{fs::PermissionsExt, net::UnixListener};

use super::Site;
use crate::harness::{Process, run};

fn mode(path: &std::path::Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn only_its_owner_can_use_the_upgrade_socket_and_it_is_removed_afterwards() {
    run(async {
        let site = Site::new().await;
        let mut old = site.start().await;
        let new = Process::start_after("umask 0", &["run", "--config", &site.file(), "--upgrade"], site.port);
        let socket = site.path("upgrade.sock");
        site.until("the successor waits", async || new.output().contains("waiting at")).await;
        assert_eq!(mode(&socket), 0o600);
        // A process that only connects is not a predecessor, and the successor keeps waiting.
        drop(std::os::unix::net::UnixStream::connect(&socket).unwrap());
        site.until("it says so", async || new.output().contains("nothing is taken over from a process"))
            .await;
        old.signal("QUIT");
        let (code, text) = tokio::task::spawn_blocking(move || old.finish()).await.unwrap();
        assert_eq!(code, Some(0), "{text}");
        site.until("it serves", async || site.client().get("/").await.is_ok_and(|a| a.status() == 200)).await;
        assert!(!socket.exists());
    });
}

#[test]
fn a_stale_socket_is_replaced_and_anything_else_is_left_unchanged() {
    run(async {
        let site = Site::new().await;
        site.replace(&site.text("").replace("admin: {", "admin: {socket: admin.sock, "));
        let socket = site.path("admin.sock");
        drop(UnixListener::bind(&socket).unwrap());
        let process = site.start().await;
        let answers = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
        site.until("it is replaced", async || answers() && mode(&socket) == 0o600).await;
        drop(process);

        std::fs::remove_file(&socket).unwrap();
        std::fs::write(site.path("precious"), "kept").unwrap();
        std::os::unix::fs::symlink(site.path("precious"), &socket).unwrap();
        let mut process = Process::spawn(&["run", "--config", &site.file()], &[]);
        let (code, text) = tokio::task::spawn_blocking(move || process.finish()).await.unwrap();
        assert_eq!(code, Some(71), "{text}");
        assert!(
            text.contains("the admin socket cannot be created") && text.contains("a symbolic link"),
            "{text}"
        );
        assert_eq!(std::fs::read_to_string(site.path("precious")).unwrap(), "kept");
    });
}

#[test]
fn a_second_successor_does_not_take_the_place_of_the_first() {
    run(async {
        let site = Site::new().await;
        let first = Process::spawn(&["run", "--config", &site.file(), "--upgrade"], &[]);
        site.until("the first waits", async || first.output().contains("waiting at")).await;
        let mut second = Process::spawn(&["run", "--config", &site.file(), "--upgrade"], &[]);
        let (code, text) = tokio::task::spawn_blocking(move || second.finish()).await.unwrap();
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("another process listens at"), "{text}");
        assert!(site.path("upgrade.sock").exists());
    });
}
