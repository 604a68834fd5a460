//! The model's words cut into pieces that can be spoken, as early as it sounds natural: whole
//! sentences, and for the first piece of an answer a clause if the sentence is long.

/// Shorter than this is not worth a request of its own: "Yes." waits for what follows it.
const PIECE_MIN: usize = 12;
/// The first piece may end at a comma once it is this long.
const CLAUSE_MIN: usize = 40;
/// No piece is longer; a model without full stops is cut at a space.
const PIECE_MAX: usize = 280;
/// Words with a full stop that ends nothing.
const SHORT_FORMS: [&str; 10] = [
    "mr.", "mrs.", "ms.", "dr.", "st.", "no.", "vs.", "e.g.", "i.e.", "approx.",
];

/// Cuts one answer.
#[derive(Debug, Default)]
pub(super) struct Sentences {
    waiting: String,
    any: bool,
}

impl Sentences {
    /// Takes words in; gives the pieces that are whole now.
    pub(super) fn push(&mut self, words: &str) -> Vec<String> {
        self.waiting.push_str(words);
        let mut pieces = Vec::new();
        while let Some(end) = self.cut() {
            let rest = self.waiting.split_off(end);
            let piece = std::mem::replace(&mut self.waiting, rest);
            self.keep(&piece, &mut pieces);
        }
        pieces
    }

    /// The answer is over: what is left of it.
    pub(super) fn end(&mut self) -> Option<String> {
        let mut pieces = Vec::new();
        let piece = std::mem::take(&mut self.waiting);
        self.keep(&piece, &mut pieces);
        pieces.pop()
    }

    fn keep(&mut self, piece: &str, pieces: &mut Vec<String>) {
        let piece = piece.trim();
        if !piece.is_empty() {
            self.any = true;
            pieces.push(piece.to_owned());
        }
    }

    /// Where the first piece ends, if that is known: there must be something after the stop,
    /// because "3." may go on as "3.5".
    fn cut(&self) -> Option<usize> {
        let mut chars = self.waiting.char_indices().peekable();
        let mut last_space = None;
        while let Some((at, char)) = chars.next() {
            let end = at + char.len_utf8();
            let Some(&(_, next)) = chars.peek() else {
                break;
            };
            if char == '\n' && end >= PIECE_MIN {
                return Some(end);
            }
            // Scripts without spaces have stops of their own.
            let is_wide_stop = matches!(char, '。' | '！' | '？');
            let is_stop = matches!(char, '.' | '!' | '?' | '…' | ':') && next.is_whitespace();
            if (is_wide_stop || is_stop) && end >= PIECE_MIN && !self.is_short_form(end) {
                return Some(end);
            }
            let is_clause = matches!(char, ',' | ';' | '—') && next.is_whitespace();
            if is_clause && !self.any && end >= CLAUSE_MIN {
                return Some(end);
            }
            if char.is_whitespace() {
                last_space = Some(end);
            }
            if end >= PIECE_MAX {
                return Some(last_space.unwrap_or(end));
            }
        }
        None
    }

    fn is_short_form(&self, end: usize) -> bool {
        let before = self.waiting.get(..end).unwrap_or_default();
        let word = before
            .rsplit(char::is_whitespace)
            .next()
            .unwrap_or_default();
        // A single letter is an initial, or spelling.
        let letters = word.trim_end_matches('.').chars().count();
        word.ends_with('.')
            && (letters <= 1 || SHORT_FORMS.contains(&word.to_ascii_lowercase().as_str()))
    }
}

/// What is spoken of a piece: markup that a model writes in spite of its instructions is left out.
pub(super) fn speakable(piece: &str) -> String {
    let plain: String = piece
        .chars()
        .filter(|char| !matches!(char, '*' | '_' | '#' | '`' | '~' | '|'))
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, by: usize) -> Vec<String> {
        let mut sentences = Sentences::default();
        let chars: Vec<char> = text.chars().collect();
        let mut pieces: Vec<String> = chars
            .chunks(by)
            .flat_map(|chunk| sentences.push(&chunk.iter().collect::<String>()))
            .collect();
        pieces.extend(sentences.end());
        pieces
    }

    #[test]
    fn the_pieces_are_the_same_however_the_tokens_fall() {
        let text = "Yes. Dr. Okafor has time on Thursday at 2.40 p.m. Shall I book it? Great!\n\
                    I will send a reminder";
        let expected = [
            "Yes. Dr. Okafor has time on Thursday at 2.40 p.m.",
            "Shall I book it?",
            "Great!\nI will send a reminder",
        ];
        for by in 1..30 {
            assert_eq!(cut(text, by), expected, "by {by}");
        }
    }

    #[test]
    fn the_first_piece_of_a_long_sentence_is_its_first_clause() {
        let pieces = cut(
            "I have found your order in our system at last, and it left the warehouse on Monday, \
             so it should be there tomorrow.",
            4,
        );
        assert_eq!(pieces.len(), 2, "{pieces:?}");
        assert_eq!(pieces[0], "I have found your order in our system at last,");
    }

    #[test]
    fn a_model_without_full_stops_is_cut_at_a_space() {
        let pieces = cut(&"word ".repeat(200), 7);
        assert!(pieces.len() >= 3 && pieces.iter().all(|piece| piece.len() <= PIECE_MAX));
        assert_eq!(pieces.join(" "), "word ".repeat(200).trim());
        assert!(
            cut(&"x".repeat(1_000), 9)
                .iter()
                .all(|p| p.len() <= PIECE_MAX)
        );
    }

    #[test]
    fn markup_is_not_spoken() {
        assert_eq!(speakable("**Two** things:\n `a`"), "Two things: a");
        assert_eq!(speakable("* * *"), "");
    }
}
