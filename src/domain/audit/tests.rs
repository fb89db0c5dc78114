//! Tests of the chain of the audit log.

use super::*;

fn chain(count: i64) -> Vec<AuditEntry> {
    let mut check = ChainCheck::default();
    (1..=count).map(|number| follow(&mut check, number, "session.created")).collect()
}

fn follow(check: &mut ChainCheck, number: i64, action: &str) -> AuditEntry {
    let mut entry = AuditEntry {
        number,
        occurred_at: Timestamp::from_microsecond(1_700_000_000_000_000 + number).unwrap(),
        actor: ActorKind::User,
        user_id: Some(UserId(Uuid::from_u128(1))),
        session_id: None,
        api_key_id: None,
        request_id: None,
        network: Some("192.0.2.0/24".into()),
        action: action.into(),
        subject_id: None,
        changes: Vec::new(),
        previous_hash: check.hash.clone(),
        hash: Vec::new(),
    };
    entry.hash = entry.computed_hash().to_vec();
    *check = ChainCheck { number, hash: entry.hash.clone() };
    entry
}

fn verify(entries: &[AuditEntry]) -> Result<i64, BrokenChain> {
    let mut check = ChainCheck::default();
    entries.iter().try_for_each(|entry| check.next(entry))?;
    Ok(check.number)
}

#[test]
fn a_changed_removed_or_moved_entry_breaks_the_chain() {
    let entries = chain(5);
    assert_eq!(verify(&entries), Ok(5));

    let mut changed = entries.clone();
    changed[2].action = "session.ended".into();
    assert_eq!(verify(&changed), Err(BrokenChain::Changed(3)));
    changed[2].hash = changed[2].computed_hash().to_vec();
    assert_eq!(verify(&changed), Err(BrokenChain::Unlinked(4)));

    let mut removed = entries.clone();
    removed.remove(2);
    assert_eq!(verify(&removed), Err(BrokenChain::Missing(3)));
    for (entry, number) in removed.iter_mut().zip(1..) {
        entry.number = number;
    }
    assert_eq!(verify(&removed), Err(BrokenChain::Unlinked(3)));

    let mut moved = entries;
    moved.swap(1, 2);
    assert_eq!(verify(&moved), Err(BrokenChain::Missing(2)));
}

#[test]
fn hexadecimal_digits_are_read_as_they_are_written() {
    let bytes = [0, 9, 10, 171, 255];
    assert_eq!(hex(&bytes), "00090aabff");
    assert_eq!(bytes_of_hex("00090aabff").as_deref(), Some(&bytes[..]));
    for digits in ["0", "0A", "0g", "000", "0\u{e9}"] {
        assert_eq!(bytes_of_hex(digits), None, "{digits}");
    }
}

#[test]
fn the_hash_of_an_entry_never_changes() {
    // computed by another program from the JSON of the entry
    let hash = hex(&chain(1)[0].hash);
    assert_eq!(hash, "6fac5e72c0df14a6daf208f9c49e5d04bd4b8053cc7407323e49884b25b06d09");
}
