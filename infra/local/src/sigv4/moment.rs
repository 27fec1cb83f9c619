//! `X-Amz-Date`.

use std::str::FromStr;
use std::time::SystemTime;

use time::{Date, Month, PrimitiveDateTime, Time};

/// `20261123T085745Z`.
pub(crate) fn moment(text: &str) -> Option<SystemTime> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    // ASCII, so that every index is one of a character.
    if !text.is_ascii() || date.len() != 8 || time.len() != 6 {
        return None;
    }
    let month = Month::try_from(number::<u8>(&date[4..6])?).ok()?;
    let date = Date::from_calendar_date(number(&date[..4])?, month, number(&date[6..])?).ok()?;
    let time = Time::from_hms(number(&time[..2])?, number(&time[2..4])?, number(&time[4..])?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().into())
}

/// Digits alone, without a sign.
pub(crate) fn number<N: FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)?.parse().ok()
}
