//! The version that a server program reports.

use std::fmt;

/// The version of a Postgres server, ordered as PostgreSQL numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 15 in `15.16`. A data directory belongs to one major version.
    pub major: u32,
    /// 16 in `15.16`; 0 for a development or beta version.
    pub minor: u32,
}

impl Version {
    /// The oldest major version with which the local cloud works.
    pub(super) const OLDEST_MAJOR: u32 = 14;

    /// Reads what `postgres --version` prints: `postgres (PostgreSQL) 15.16 (Debian 15.16-0+deb12u1)`, `… 18beta1`.
    pub(super) fn parse(output: &str) -> Option<Self> {
        let (_, rest) = output.trim().split_once("(PostgreSQL) ")?;
        let number = rest.split(' ').next()?;
        let digits = |text: &str| -> Option<u32> {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text.get(..end)?.parse().ok()
        };
        let major = digits(number)?;
        let minor = number.split_once('.').and_then(|(_, minor)| digits(minor)).unwrap_or(0);
        Some(Self { major, minor })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_are_read_as_the_server_prints_them() {
        let cases = [
            ("postgres (PostgreSQL) 15.16 (Debian 15.16-0+deb12u1)\n", Some((15, 16))),
            ("postgres (PostgreSQL) 18.4", Some((18, 4))),
            ("postgres (PostgreSQL) 18beta1", Some((18, 0))),
            ("postgres (PostgreSQL) 19devel", Some((19, 0))),
            ("postgres (PostgreSQL) 9.6.24", Some((9, 6))),
            ("postgres (PostgreSQL) ", None),
            ("postgres (PostgreSQL) next", None),
            ("some other program 15.1", None),
            ("", None),
        ];
        for (output, expected) in cases {
            assert_eq!(Version::parse(output).map(|v| (v.major, v.minor)), expected, "{output:?}");
        }
        assert!(Version { major: 9, minor: 6 } < Version { major: 14, minor: 0 });
        assert!(Version { major: 17, minor: 9 } < Version { major: 17, minor: 10 });
    }
}
