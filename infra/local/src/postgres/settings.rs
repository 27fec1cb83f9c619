//! How a cluster of the local cloud is set.

/// What of the data survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// For tests: nothing is flushed to disk. A crash of the machine destroys the cluster; a crash of the server does not.
    Disposable,
    /// For development: a crash of the machine loses at most the last fraction of a second.
    Lasting,
}

/// The server settings that a caller chooses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What of the data survives.
    pub durability: Durability,
    /// Sessions at once; 200 unless set otherwise.
    pub max_connections: u32,
    /// Further settings by their names in `postgresql.conf`; they come last and so override the ones made here.
    pub extra: Vec<(String, String)>,
}

impl Settings {
    /// 200 connections and nothing extra.
    #[must_use]
    pub fn new(durability: Durability) -> Self {
        Self { durability, max_connections: 200, extra: Vec::new() }
    }

    /// The same, with further settings.
    #[must_use]
    pub fn with(mut self, extra: &[(&str, &str)]) -> Self {
        self.extra.extend(extra.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        self
    }

    /// Everything as `name=value`. Settings on the command line override the files of the data directory.
    pub(super) fn assignments(&self, port: u16) -> Vec<String> {
        let fixed: [(&str, &str); 9] = [
            ("listen_addresses", "127.0.0.1"),
            // A socket's path must fit into about 100 bytes, and nobody needs it.
            ("unix_socket_directories", ""),
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
            ("ssl", "off"),
            // Independent of the machine; messages are also read by this crate.
            ("lc_messages", "C"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("synchronous_commit", "off"),
        ];
        let flush = match self.durability {
            Durability::Disposable => "off",
            Durability::Lasting => "on",
        };
        fixed
            .into_iter()
            .chain([("fsync", flush), ("full_page_writes", flush)])
            .map(|(name, value)| format!("{name}={value}"))
            .chain([format!("port={port}"), format!("max_connections={}", self.max_connections)])
            .chain(self.extra.iter().map(|(name, value)| format!("{name}={value}")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Durability, Settings};

    #[test]
    fn extra_settings_come_last() {
        let settings = Settings::new(Durability::Disposable).with(&[("fsync", "on"), ("wal_level", "logical")]);
        let assignments = settings.assignments(5432);
        assert!(assignments.ends_with(&["fsync=on".to_owned(), "wal_level=logical".to_owned()]), "{assignments:?}");
        assert!(assignments.iter().any(|assignment| assignment == "port=5432"), "{assignments:?}");
    }

    #[test]
    fn only_disposable_data_is_not_flushed() {
        for (durability, expected) in [(Durability::Disposable, "fsync=off"), (Durability::Lasting, "fsync=on")] {
            let assignments = Settings::new(durability).assignments(1);
            assert!(assignments.iter().any(|assignment| assignment == expected), "{durability:?}: {assignments:?}");
        }
    }
}
