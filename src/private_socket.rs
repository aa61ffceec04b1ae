//! Unix sockets that only this process's user and root can use: the admin socket and the upgrade socket.
//!
//! Other users can never connect: Linux gives the file that bind(2) creates the mode of the socket (less the umask, which
//! belongs to the whole process and is not changed), so the mode is set before the file exists. The file's actual mode is
//! checked before listen(2); until then no connection is accepted.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::{
        socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr},
        stat::{Mode, fchmod},
    },
};

/// Read and write access for the owner.
const PRIVATE: u32 = 0o600;

/// Why a socket cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process listens there.
    #[error("another process listens at {}", .0.display())]
    InUse(PathBuf),
    /// The path exists and is not a socket; it is left unchanged.
    #[error("{} already exists and is {what}: remove it, or use another path", .path.display())]
    Occupied {
        /// The path.
        path: PathBuf,
        /// What exists at the path.
        what: &'static str,
    },
    /// The file system does not store the modes of sockets.
    #[error("{}: others could connect, since this file system gives sockets the mode {mode:o}", .path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// The mode.
        mode: u32,
    },
    /// An error of the operating system.
    #[error("{}: {error}", .path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
}

/// Why the process at the other end is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    /// The kernel does not report its user.
    #[error("its user is not known: {0}")]
    Unknown(#[from] io::Error),
    /// It belongs to another user.
    #[error("it belongs to user {peer}, and this process to user {own}")]
    Other {
        /// The user of the other process.
        peer: u32,
        /// The user of this process.
        own: u32,
    },
}

/// A socket that listens at `path`, with mode 0600 from the start. It does not block. A socket that an earlier process left
/// behind is replaced; anything else is not.
///
/// # Errors
/// Why the socket cannot be created.
pub fn listen(path: &Path) -> Result<UnixListener, Error> {
    let failed = |error: Errno| Error::System { path: path.to_owned(), error: error.into() };
    let address = UnixAddr::new(path).map_err(failed)?;
    clear(path, &address)?;
    let socket = socket().map_err(failed)?;
    fchmod(&socket, Mode::from_bits_truncate(PRIVATE)).map_err(failed)?;
    socket::bind(socket.as_raw_fd(), &address).map_err(failed)?;
    keep_private(path)?;
    socket::listen(&socket, Backlog::MAXALLOWABLE).map_err(failed)?;
    Ok(UnixListener::from(socket))
}

fn socket() -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)
}

/// Removes a socket that no process listens at.
fn clear(path: &Path, address: &UnixAddr) -> Result<(), Error> {
    let failed = |error: io::Error| Error::System { path: path.to_owned(), error };
    let occupied = |what| Err(Error::Occupied { path: path.to_owned(), what });
    // The metadata of the path itself: the target of a link may be anywhere.
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if found.file_type().is_symlink() => return occupied("a symbolic link"),
        Ok(found) if !found.file_type().is_socket() => return occupied("not a socket"),
        Ok(found) if found.uid() != own_uid() && own_uid() != 0 => {
            return occupied("a socket of another user");
        }
        Ok(_) => {}
    }
    let probe = socket().map_err(|error| failed(error.into()))?;
    match socket::connect(probe.as_raw_fd(), address) {
        Err(Errno::ECONNREFUSED) => std::fs::remove_file(path).map_err(failed),
        // EAGAIN: the queue of waiting connections is full.
        Ok(()) | Err(Errno::EAGAIN) => Err(Error::InUse(path.to_owned())),
        Err(error) => Err(failed(error.into())),
    }
}

/// If bind(2) ignored the socket's mode, this changes the file's mode; listen(2) is called after this.
fn keep_private(path: &Path) -> Result<(), Error> {
    let failed = |error: io::Error| Error::System { path: path.to_owned(), error };
    let mode = || path.symlink_metadata().map(|made| made.permissions().mode() & 0o777).map_err(failed);
    if mode()? & !PRIVATE != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(PRIVATE)).map_err(failed)?;
    }
    match mode()? {
        mode if mode & !PRIVATE == 0 => Ok(()),
        mode => {
            let _ = std::fs::remove_file(path);
            Err(Error::Open { path: path.to_owned(), mode })
        }
    }
}

/// The effective user of this process.
fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Checks that the process at the other end is trusted: it must belong to the same user, or to root.
///
/// # Errors
/// [`Untrusted`]: the other user, or why it is unknown.
pub fn check_peer(stream: &tokio::net::UnixStream) -> Result<(), Untrusted> {
    let (peer, own) = (stream.peer_cred()?.uid(), own_uid());
    if is_trusted(peer, own) { Ok(()) } else { Err(Untrusted::Other { peer, own }) }
}

fn is_trusted(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_socket_has_its_mode_before_it_is_visible() {
        let folder = folder();
        let path = folder.path().join("s.sock");
        let (seen, watched) = (std::sync::Arc::new(parking_lot::Mutex::new(Vec::new())), path.clone());
        let (modes, done) = (seen.clone(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
        let end = done.clone();
        // Reads the mode in a loop while sockets are created and removed.
        let watcher = std::thread::spawn(move || {
            while !end.load(std::sync::atomic::Ordering::Relaxed) {
                if let Ok(found) = watched.symlink_metadata() {
                    modes.lock().push(found.permissions().mode() & 0o777);
                }
            }
        });
        for _ in 0..500 {
            let listener = listen(&path).unwrap();
            assert_eq!(path.symlink_metadata().unwrap().permissions().mode() & 0o777, PRIVATE);
            drop(listener);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        watcher.join().unwrap();
        let seen = seen.lock();
        assert!(
            seen.iter().all(|mode| *mode == PRIVATE),
            "{:o}",
            seen.iter().find(|m| **m != PRIVATE).unwrap()
        );
    }

    #[test]
    fn a_stale_socket_is_replaced_and_one_in_use_is_not() {
        let folder = folder();
        let path = folder.path().join("s.sock");
        drop(listen(&path).unwrap());
        let living = listen(&path).unwrap();
        assert!(matches!(listen(&path), Err(Error::InUse(_))));
        // A socket whose queue is full is not replaced either.
        let address = UnixAddr::new(&path).unwrap();
        let connect = |_| {
            let probe = socket().unwrap();
            socket::connect(probe.as_raw_fd(), &address).ok().map(|()| probe)
        };
        let waiting: Vec<_> = (0..10_000).map_while(connect).collect();
        assert!(matches!(listen(&path), Err(Error::InUse(_))), "{}", waiting.len());
        drop((waiting, living));
        listen(&path).unwrap();
    }

    #[test]
    fn a_file_a_folder_and_a_link_are_left_unchanged() {
        let folder = folder();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "kept").unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        drop(listen(&path("target")).unwrap());
        std::os::unix::fs::symlink(path("target"), path("link")).unwrap();
        std::os::unix::fs::symlink(path("nothing"), path("dangling")).unwrap();
        for name in ["file", "folder", "link", "dangling"] {
            let error = listen(&path(name)).unwrap_err();
            assert!(matches!(error, Error::Occupied { .. }), "{name}: {error}");
        }
        assert_eq!(std::fs::read_to_string(path("file")).unwrap(), "kept");
        assert!(path("target").exists() && !path("nothing").exists());
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_an_error_that_names_it() {
        let folder = folder();
        for path in [folder.path().join("x".repeat(120)), folder.path().join("missing/s.sock")] {
            let error = listen(&path).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn the_same_user_and_root_are_trusted_and_others_are_not() {
        assert!(is_trusted(1_000, 1_000) && is_trusted(0, 1_000) && is_trusted(0, 0));
        assert!(!is_trusted(1_001, 1_000) && !is_trusted(1_000, 0));
    }
}
