//! The conversation's items as far as the bridge needs them: a rising number for each vendor id,
//! how much audio of it came, what was said so far.

use std::collections::VecDeque;

/// Items remembered. Older ones are neither written nor cut any more.
const ITEMS_MAX: usize = 64;
/// Longest text kept while it is being written, bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: String,
    /// What the bridge calls it.
    pub(super) number: u64,
    /// The answer it belongs to; empty for the caller's.
    pub(super) response: String,
    /// Part of it that holds the audio.
    pub(super) content_index: u64,
    /// Audio received, in bytes of the session's format.
    pub(super) audio_bytes: u64,
    pub(super) text: String,
    /// Its final text was told.
    pub(super) told: bool,
}

impl Item {
    /// Adds to the text; what does not fit is left out.
    pub(super) fn write(&mut self, more: &str) {
        if self.text.len() + more.len() <= TEXT_BYTES_MAX {
            self.text.push_str(more);
        }
    }
}

/// All items, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Items {
    items: VecDeque<Item>,
    last: u64,
}

impl Items {
    pub(super) fn by_number(&self, number: u64) -> Option<&Item> {
        self.items.iter().rev().find(|item| item.number == number)
    }

    pub(super) fn of_response<'a>(
        &'a mut self,
        response: &'a str,
    ) -> impl Iterator<Item = &'a mut Item> {
        self.items
            .iter_mut()
            .filter(move |item| item.response == response)
    }

    /// The item of this id, numbered now if it is new.
    pub(super) fn get(&mut self, id: &str, response: &str) -> &mut Item {
        let known = self.items.iter().rposition(|item| item.id == id);
        let index = known.unwrap_or_else(|| {
            if self.items.len() == ITEMS_MAX {
                self.items.pop_front();
            }
            self.last += 1;
            self.items.push_back(Item {
                id: id.to_owned(),
                number: self.last,
                response: response.to_owned(),
                content_index: 0,
                audio_bytes: 0,
                text: String::new(),
                told: false,
            });
            self.items.len() - 1
        });
        #[expect(
            clippy::indexing_slicing,
            reason = "the index was found, or is the one just pushed"
        )]
        &mut self.items[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_the_oldest_are_forgotten() {
        let mut items = Items::default();
        for n in 1..=70_u64 {
            assert_eq!(items.get(&format!("item_{n}"), "").number, n);
        }
        assert_eq!(items.get("item_70", "").number, 70);
        assert!(items.by_number(6).is_none());
        assert_eq!(items.by_number(7).unwrap().id, "item_7");
    }
}
