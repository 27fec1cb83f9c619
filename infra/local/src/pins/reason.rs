//! Why a statement pins a session, or may.
//!
//! Source of the rules: "Avoiding pinning an RDS Proxy" in the Amazon RDS User Guide, its lists for all engines and for PostgreSQL. What
//! that page leaves open for PostgreSQL is [`Verdict::MayPin`], never silence and never a certainty.

use serde::Serialize;

/// What becomes of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Verdict {
    /// The documentation does not say, or the text alone does not show it.
    #[serde(rename = "may pin")]
    MayPin,
    /// It is pinned, as documented.
    #[serde(rename = "pins")]
    Pins,
}

impl Verdict {
    /// As people and programs read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pins => "pins",
            Self::MayPin => "may pin",
        }
    }
}

/// The rule that a statement meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// SET, RESET, SET ROLE, SET SESSION AUTHORIZATION, SET SESSION CHARACTERISTICS.
    SessionParameter,
    /// `set_config(…, false)`.
    SetConfig,
    /// PREPARE, EXECUTE, DEALLOCATE. Prepared statements of the protocol do not pin.
    SqlPrepared,
    /// DISCARD.
    Discard,
    /// CREATE TEMPORARY TABLE, VIEW or SEQUENCE, SELECT INTO TEMPORARY, or one of these in `pg_temp`.
    TemporaryObject,
    /// DECLARE, and FETCH, MOVE and CLOSE, which make sense only where a cursor was declared.
    Cursor,
    /// LISTEN. NOTIFY leaves nothing in the session and does not pin.
    Listen,
    /// LOAD.
    LoadLibrary,
    /// `nextval` or `setval`.
    SequenceFunction,
    /// `pg_advisory_lock` and its family, without those that end with the transaction (`pg_advisory_xact_lock` …).
    AdvisoryLock,
    /// More than 16 KB of text, whatever it says.
    TooLong,
    /// SET LOCAL. The page's sentence that it does not pin stands in its list for MySQL.
    SetLocal,
    /// SET TRANSACTION and SET CONSTRAINTS. The page names SET without an exception for them. BEGIN ISOLATION LEVEL … is no SET.
    SetTransaction,
    /// `set_config` whose last argument is true, or cannot be read from the text.
    SetConfigLocal,
    /// `currval` or `lastval`. The page names functions that manipulate a sequence, "such as" two others.
    SequenceState,
    /// UNLISTEN. The page names listening, and discarding a session's state.
    Unlisten,
    /// DO whose body meets a rule, runs text that is made at run time, or is in a language that is not read. Stored functions do not pin,
    /// the page says; of blocks that come with the statement it says nothing.
    DoBlock,
    /// A function that pins, in a definition (a default, a view) or in an EXPLAIN that does not run its statement.
    NotCalled,
    /// A row's key comes from a sequence by the column's default.
    SequenceDefault,
    /// The parser does not know the statement: wrong, and then the server refuses it, or newer than the parser.
    NotUnderstood,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 20] = [
        Self::SessionParameter,
        Self::SetConfig,
        Self::SqlPrepared,
        Self::Discard,
        Self::TemporaryObject,
        Self::Cursor,
        Self::Listen,
        Self::LoadLibrary,
        Self::SequenceFunction,
        Self::AdvisoryLock,
        Self::TooLong,
        Self::SetLocal,
        Self::SetTransaction,
        Self::SetConfigLocal,
        Self::SequenceState,
        Self::Unlisten,
        Self::DoBlock,
        Self::NotCalled,
        Self::SequenceDefault,
        Self::NotUnderstood,
    ];

    /// What becomes of the session.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::SessionParameter
            | Self::SetConfig
            | Self::SqlPrepared
            | Self::Discard
            | Self::TemporaryObject
            | Self::Cursor
            | Self::Listen
            | Self::LoadLibrary
            | Self::SequenceFunction
            | Self::AdvisoryLock
            | Self::TooLong => Verdict::Pins,
            Self::SetLocal
            | Self::SetTransaction
            | Self::SetConfigLocal
            | Self::SequenceState
            | Self::Unlisten
            | Self::DoBlock
            | Self::NotCalled
            | Self::SequenceDefault
            | Self::NotUnderstood => Verdict::MayPin,
        }
    }

    /// The rule in one sentence, with what to do instead where there is something.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::SessionParameter => "SET or RESET changes a parameter of the session: use a role's setting or the proxy's initialization query",
            Self::SetConfig => "set_config changes a parameter of the session: use a role's setting or the proxy's initialization query",
            Self::SqlPrepared => "PREPARE, EXECUTE and DEALLOCATE manage prepared statements in SQL: use those of the protocol",
            Self::Discard => "DISCARD discards the session's state: switch the driver's reset query off",
            Self::TemporaryObject => "a temporary table, view or sequence is created: use a CTE or a real table",
            Self::Cursor => "a cursor is declared or used: read by key ranges, or in one result",
            Self::Listen => "LISTEN registers the session for notifications: listen on a connection past the proxy",
            Self::LoadLibrary => "LOAD loads a library into the session: use the server's session_preload_libraries",
            Self::SequenceFunction => "nextval and setval manipulate a sequence: make keys without one, as UUIDv7",
            Self::AdvisoryLock => "an advisory lock of the session is taken or released: use pg_advisory_xact_lock",
            Self::TooLong => "the text is longer than 16 KB: send values as parameters",
            Self::SetLocal => "SET LOCAL ends with the transaction; for PostgreSQL it is not documented whether it pins",
            Self::SetTransaction => "SET TRANSACTION or SET CONSTRAINTS ends with the transaction; it is not documented whether it pins",
            Self::SetConfigLocal => {
                "set_config for one transaction, or for what only its parameter says; it is not documented whether the first pins"
            }
            Self::SequenceState => "currval and lastval read the session's state of a sequence; it is not documented whether they pin",
            Self::Unlisten => "UNLISTEN discards a registration for notifications; it is not documented whether it pins",
            Self::DoBlock => "the DO block does what pins outside one, or cannot be read; it is not documented whether blocks are looked into",
            Self::NotCalled => "what would pin is defined or explained here and not run; it is not documented whether that is told apart",
            Self::SequenceDefault => "the row takes a key from a sequence by a column's default; it is not documented whether that pins",
            Self::NotUnderstood => "not understood by the parser: wrong, or newer than it",
        }
    }
}
