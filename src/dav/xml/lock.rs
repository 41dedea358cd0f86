//! The body of LOCK (RFC 4918 §14.11).

use super::name::DAV;
use super::read::{Element, ReadError};

/// A lock as a client asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockInfo {
    /// Beside shared locks of others.
    pub shared: bool,
    /// What the client says about who holds it.
    pub owner: Option<Element>,
}

/// Reads the body of a LOCK.
///
/// # Errors
/// [`ReadError::Unexpected`] when it is not a `lockinfo` that asks for one write lock.
pub fn read_lock(root: &Element) -> Result<LockInfo, ReadError> {
    if !root.name.is(DAV, "lockinfo") {
        return Err(ReadError::unexpected(format!("expected {{DAV:}}lockinfo, found {}", root.name)));
    }
    let kind = root.child(DAV, "locktype");
    if kind.is_none_or(|kind| kind.child(DAV, "write").is_none()) {
        return Err(ReadError::unexpected("a lockinfo needs the locktype write"));
    }
    let scope = |local| root.child(DAV, "lockscope").is_some_and(|scope| scope.child(DAV, local).is_some());
    match (scope("exclusive"), scope("shared")) {
        (true, true) | (false, false) => {
            Err(ReadError::unexpected("a lockinfo needs one lockscope, exclusive or shared"))
        }
        (_, shared) => Ok(LockInfo { shared, owner: root.child(DAV, "owner").cloned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::xml::{XmlLimits, parse};

    fn read(inner: &str) -> Result<LockInfo, ReadError> {
        let body = format!(r#"<lockinfo xmlns="DAV:">{inner}</lockinfo>"#);
        read_lock(&parse(body.as_bytes(), XmlLimits { bytes: 4096, depth: 16 }).unwrap().unwrap())
    }

    #[test]
    fn a_lock_has_one_type_and_one_scope() {
        let write = "<locktype><write/></locktype>";
        let lock = read(&format!("{write}<lockscope><shared/></lockscope><owner>me</owner>")).unwrap();
        assert!(lock.shared);
        assert_eq!(lock.owner.unwrap().text(), "me");
        assert!(!read(&format!("{write}<lockscope><exclusive/></lockscope>")).unwrap().shared);
        for wrong in [
            write.to_owned(),
            "<lockscope><exclusive/></lockscope>".to_owned(),
            format!("{write}<lockscope><exclusive/><shared/></lockscope>"),
            "<locktype><read/></locktype><lockscope><exclusive/></lockscope>".to_owned(),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}
