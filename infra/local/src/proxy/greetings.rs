//! What servers announce as sessions begin, remembered so that a client can sign in while the database is down.

use std::collections::HashMap;
use std::sync::Arc;

use super::upstream::Key;
use crate::wire::Frame;

/// The server's parameters (ParameterStatus).
pub(super) type Greeting = Arc<[Frame]>;

/// So many kinds of sessions are remembered. Their names come from clients, of which any can invent a new one each time.
const LIMIT: usize = 256;

/// The kinds of sessions that were used last.
#[derive(Default)]
pub(super) struct Greetings {
    by_key: HashMap<Arc<Key>, (Greeting, u64)>,
    uses: u64,
}

impl Greetings {
    pub(super) fn get(&mut self, key: &Key) -> Option<Greeting> {
        self.uses += 1;
        let (greeting, last_used) = self.by_key.get_mut(key)?;
        *last_used = self.uses;
        Some(Arc::clone(greeting))
    }

    /// Remembers one, and forgets the one that was used longest ago where there are too many.
    pub(super) fn remember(&mut self, key: &Arc<Key>, greeting: &Greeting) {
        self.uses += 1;
        self.by_key.insert(Arc::clone(key), (Arc::clone(greeting), self.uses));
        if self.by_key.len() > LIMIT
            && let Some(oldest) = self.by_key.iter().min_by_key(|(_, (_, last_used))| *last_used).map(|(key, _)| Arc::clone(key))
        {
            self.by_key.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Arc<Key> {
        let parameters = vec![("application_name".to_owned(), number.to_string())];
        Arc::new(Key { user: "thaw_app".to_owned(), database: "thaw".to_owned(), parameters })
    }

    #[test]
    fn what_clients_invent_does_not_pile_up_and_what_is_used_stays() {
        let mut greetings = Greetings::default();
        let greeting: Greeting = [Frame::new(b'S', b"TimeZone\0UTC\0")].into();
        for number in 0..10 * LIMIT {
            greetings.remember(&key(number), &greeting);
            assert!(greetings.by_key.len() <= LIMIT);
            assert_eq!(greetings.get(&key(0)).as_ref(), Some(&greeting), "in use, after {number} others");
        }
        assert_eq!(greetings.get(&key(10 * LIMIT - 1)), Some(greeting));
        assert_eq!(greetings.get(&key(1)), None);
    }
}
