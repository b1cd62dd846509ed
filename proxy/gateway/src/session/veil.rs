//! Keeps rows out of error messages (invariant 8).
//!
//! A write that breaks a constraint is answered with the row it would have made, whole, in DETAIL: an UPDATE of a
//! column that is anybody's to change shows all others. So while columns are protected the DETAIL of such errors is
//! overwritten, in its place and length. SQLSTATE, message and the names of table, column and constraint stay: they
//! are what programs look at.

/// SQLSTATE classes of errors that show rows or keys: integrity constraints, and views with a check option.
const CLASSES: [&[u8]; 2] = [b"23", b"44"];
/// What stands there instead, as far as there is room.
const WORDS: &[u8] = b"Not shown: it may hold protected values.";

const HEADER_BYTES: usize = 5;

/// Overwrites DETAIL in a whole ErrorResponse that may show a row.
pub(super) fn veil(frame: &mut [u8]) {
    let Some(body) = frame.get_mut(HEADER_BYTES..) else {
        return;
    };
    let shows = |code: &[u8]| CLASSES.iter().any(|class| code.starts_with(class));
    let mut detail = None;
    let mut told = false;
    let mut at = 0;
    while let Some(code) = body.get(at).copied().filter(|code| *code != 0) {
        let from = at + 1;
        let rest = body.get(from..).unwrap_or_default();
        let Some(length) = rest.iter().position(|byte| *byte == 0) else {
            break;
        };
        match code {
            b'C' => told |= rest.get(..length).is_some_and(shows),
            b'D' => detail = Some(from..from + length),
            _ => {}
        }
        at = from + length + 1;
    }
    if let Some(detail) = detail.filter(|_| told).and_then(|at| body.get_mut(at)) {
        let words = WORDS.iter().copied().chain(std::iter::repeat(b' '));
        for (byte, word) in detail.iter_mut().zip(words) {
            *byte = word;
        }
    }
}

#[cfg(test)]
mod tests {
    use abeyance_wire::postgres::{ErrorFields, Severity, SqlState};
    use bytes::BytesMut;

    use super::*;

    fn veiled(state: &str, detail: &str) -> Vec<u8> {
        let state = SqlState::from_bytes(state.as_bytes()).unwrap();
        let fields = ErrorFields::new(Severity::Error, state, "no")
            .detail(detail)
            .hint("why");
        let mut frame = BytesMut::new();
        fields.encode_error(&mut frame);
        let mut frame = frame.to_vec();
        veil(&mut frame);
        frame
    }

    fn has(frame: &[u8], text: &str) -> bool {
        frame
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    }

    #[test]
    fn rows_are_not_shown() {
        let row = "Failing row contains (1, 2, null, checkup, marked note, dr1), and it is longer than the words.";
        for state in ["23502", "23514", "23505", "23P01", "44000"] {
            let frame = veiled(state, row);
            assert!(!has(&frame, "marked") && !has(&frame, "longer"), "{state}");
            assert!(
                has(&frame, "DNot shown: it may hold protected values. "),
                "{state}"
            );
            assert!(has(&frame, "Mno") && has(&frame, "Hwhy"), "{state}");
            assert_eq!(frame.len(), veiled("42601", row).len());
        }
        assert!(!has(&veiled("23505", "marked"), "marked"));
    }

    #[test]
    fn other_errors_keep_theirs() {
        assert!(has(&veiled("42601", "marked"), "Dmarked"));
        assert!(has(&veiled("40P01", "marked"), "Dmarked"));
    }

    #[test]
    fn broken_frames_are_left_alone() {
        for frame in [
            &b""[..],
            b"E",
            b"E\0\0\0\x04",
            b"E\0\0\0\x09C23502",
            b"E\0\0\0\x08Dabc",
        ] {
            let mut copy = frame.to_vec();
            veil(&mut copy);
            assert_eq!(copy, frame);
        }
    }
}
