//! A file that another process is writing.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Reads a growing file line by line. A carriage return ends a line, too: progress bars are drawn with it.
pub struct Tail {
    file: File,
    rest: Vec<u8>,
}

impl Tail {
    /// From the beginning of the file.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, rest: Vec::new() })
    }

    /// The lines that were written since the last call, empty ones left out.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn lines(&mut self) -> io::Result<Vec<String>> {
        self.file.read_to_end(&mut self.rest)?;
        let Some(end) = self.rest.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')) else { return Ok(Vec::new()) };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        let lines = whole.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty());
        Ok(lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_line_is_given_once_it_is_whole() {
        let path = std::env::temp_dir().join(format!("thaw-tail-{}", std::process::id()));
        let mut file = File::create(&path).unwrap();
        let mut tail = Tail::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(tail.lines().unwrap().is_empty());
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.lines().unwrap(), ["one"]);
        file.write_all(b"o\rthree\r\n\n").unwrap();
        assert_eq!(tail.lines().unwrap(), ["two", "three"]);
    }
}
