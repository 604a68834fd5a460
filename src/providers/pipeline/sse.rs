//! Server-sent events, as far as completions need them: the `data:` of each, out of bytes that come
//! in any pieces. Tolerates CRLF, comments, and servers that leave the blank line out.
//! Spec: WHATWG HTML, "Server-sent events" (2026-11).

/// A line longer than this is no event of ours.
const LINE_MAX: usize = 256 * 1024;

/// Takes bytes, gives the data of lines.
#[derive(Debug, Default)]
pub(super) struct Sse {
    line: Vec<u8>,
    /// The present line is too long and is being skipped.
    skipping: bool,
}

impl Sse {
    /// The data of every line that is whole now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (body, is_whole) = match piece.strip_suffix(b"\n") {
                Some(body) => (body, true),
                None => (piece, false),
            };
            if self.line.len() + body.len() > LINE_MAX {
                self.skipping = true;
                self.line.clear();
            }
            if !self.skipping {
                self.line.extend_from_slice(body);
            }
            if is_whole {
                found.extend(self.take());
            }
        }
        found
    }

    /// What is left when the body ends without a last line break.
    pub(super) fn end(&mut self) -> Option<String> {
        self.take()
    }

    fn take(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.skipping) {
            return None;
        }
        let line = String::from_utf8_lossy(&line);
        let data = line.trim_end_matches('\r').strip_prefix("data:")?;
        let data = data.strip_prefix(' ').unwrap_or(data);
        (!data.is_empty()).then(|| data.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_comes_out_whole_whatever_the_pieces() {
        let body =
            b": hello\r\ndata: {\"a\":1}\r\n\r\nevent: x\ndata:{\"b\":\"\xc3\xa9\"}\ndata: [DONE]";
        for size in 1..body.len() {
            let mut sse = Sse::default();
            let mut found: Vec<String> = body.chunks(size).flat_map(|b| sse.push(b)).collect();
            found.extend(sse.end());
            assert_eq!(found, ["{\"a\":1}", "{\"b\":\"é\"}", "[DONE]"], "by {size}");
        }
    }

    #[test]
    fn an_endless_line_takes_no_memory_and_the_next_one_is_read() {
        let mut sse = Sse::default();
        for _ in 0..80 {
            assert!(sse.push(&[b'x'; 8_192]).is_empty());
            assert!(sse.line.len() <= LINE_MAX);
        }
        assert!(sse.push(b"\n").is_empty());
        assert_eq!(sse.push(b"data: 1\n"), ["1"]);
    }
}
