//! Where a client is between heads of HTTP/2: the time-out for heads needs to know, and h2 does not tell.
//!
//! Follows the frames by the nine bytes each starts with (RFC 9113, 4.1) and looks at nothing else. It must not judge what
//! it sees: that is h2's.

/// The client's connection preface, in bytes. RFC 9113, 3.4.
const PREFACE_BYTES: u64 = 24;
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// What was received so far.
pub(super) struct Heads {
    /// Bytes that are left of the frame, or of the preface, that has begun.
    left: u64,
    /// The start of the next frame, as far as it has come.
    frame_head: [u8; FRAME_HEAD_BYTES],
    filled: usize,
    /// In the preface, in a frame with fields, or between two that belong together.
    in_head: bool,
    /// Whether the head ends with the frame that has begun.
    ends: bool,
}

impl Heads {
    /// Before the preface.
    pub(super) fn new() -> Self {
        Self { left: PREFACE_BYTES, frame_head: [0; FRAME_HEAD_BYTES], filled: 0, in_head: true, ends: true }
    }

    /// Takes in what was received next. True when it ends inside a head, or in what may become one.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.left == 0 {
                let taken = bytes.len().min(FRAME_HEAD_BYTES - self.filled);
                self.frame_head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
                self.filled += taken;
                bytes = &bytes[taken..];
                if self.filled == FRAME_HEAD_BYTES {
                    self.begin_frame();
                }
            } else {
                let taken = self.left.min(bytes.len() as u64);
                self.left -= taken;
                // As many as were there.
                bytes = &bytes[usize::try_from(taken).unwrap_or(bytes.len())..];
            }
            if self.left == 0 && self.filled == 0 && self.ends {
                self.in_head = false;
            }
        }
        // Some of a frame's first bytes: nobody knows yet what it will be.
        self.in_head || self.filled > 0
    }

    fn begin_frame(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.frame_head;
        self.filled = 0;
        self.left = u64::from(u32::from_be_bytes([0, high, middle, low]));
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_head = true;
            self.ends = flags & END_HEADERS != 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const WHOLE_HEADERS: &[u8] = &[0, 0, 2, 1, 4, 0, 0, 0, 1, 0x82, 0x84];
    const OPEN_HEADERS: &[u8] = &[0, 0, 1, 1, 0, 0, 0, 0, 3, 0x82];
    const LAST_CONTINUATION: &[u8] = &[0, 0, 1, 9, 4, 0, 0, 0, 3, 0x84];
    const DATA: &[u8] = &[0, 0, 3, 0, 0, 0, 0, 0, 1, 1, 9, 4];

    fn after(parts: &[&[u8]]) -> bool {
        let mut heads = Heads::new();
        let whole = heads.advance(&parts.concat());
        // However it is cut to pieces, it is the same.
        let mut heads = Heads::new();
        let cut = parts.concat().chunks(1).map(|byte| heads.advance(byte)).last().unwrap_or(true);
        assert_eq!(whole, cut);
        whole
    }

    #[test]
    fn the_preface_is_a_head() {
        assert!(after(&[&PREFACE[..23]]));
        assert!(!after(&[PREFACE]));
        assert!(!after(&[PREFACE, SETTINGS]));
    }

    #[test]
    fn a_head_lasts_until_the_frame_that_ends_it_is_whole() {
        assert!(!after(&[PREFACE, WHOLE_HEADERS]));
        assert!(after(&[PREFACE, SETTINGS, &WHOLE_HEADERS[..10]]));
        assert!(after(&[PREFACE, &WHOLE_HEADERS[..3]]));
        assert!(after(&[PREFACE, OPEN_HEADERS]));
        assert!(after(&[PREFACE, OPEN_HEADERS, &LAST_CONTINUATION[..9]]));
        assert!(!after(&[PREFACE, OPEN_HEADERS, LAST_CONTINUATION]));
    }

    #[test]
    fn other_frames_are_no_heads_whatever_they_hold() {
        assert!(!after(&[PREFACE, WHOLE_HEADERS, DATA]));
        assert!(!after(&[PREFACE, WHOLE_HEADERS, &DATA[..11]]));
    }
}
