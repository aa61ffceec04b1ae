//! The binary, from the outside.

use std::process::Command;

#[test]
fn without_a_terminal_it_ends_by_itself_and_every_check_holds() {
    let output = Command::new(env!("CARGO_BIN_EXE_mte-demo")).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    let last = shown.lines().last().unwrap();
    assert!(last.starts_with("All ") && last.contains(" checks hold ("), "{last}");
    assert!(!shown.contains("In a browser"), "without a terminal, there is no page");
    assert!(!shown.contains("\x1b["), "colours are for terminals");
}

#[test]
fn a_port_in_use_is_reported_with_the_option_to_change_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for option in ["--port", "--page-port"] {
        let output = Command::new(env!("CARGO_BIN_EXE_mte-demo")).args([option, &port]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.starts_with("mte-demo: cannot listen on ") && error.contains(&port), "{error}");
        assert!(error.trim_end().ends_with(&format!("; choose another {option}")), "{error}");
    }
}
