//! Exit codes, those of sysexits.h.

/// An input file does not exist (EX_NOINPUT).
pub(crate) const NO_INPUT: u8 = 66;
/// An upstream cannot be reached (EX_UNAVAILABLE).
pub(crate) const UNAVAILABLE: u8 = 69;
/// An address cannot be listened on (EX_OSERR).
pub(crate) const SYSTEM: u8 = 71;
/// A file cannot be written (EX_CANTCREAT).
pub(crate) const CANNOT_CREATE: u8 = 73;
/// The configuration is wrong (EX_CONFIG).
pub(crate) const CONFIG: u8 = 78;
