//! Which messages of a direction came already.

/// How many messages may overtake one on its way. Calls and replies of one session have no order
/// among themselves; more than all handlers of a session by default, which bounds how many replies
/// can wait for room while others pass.
pub(super) const WINDOW: u64 = 8192;

const WORD: u64 = u64::BITS as u64;

/// A sliding window over the numbers of the messages that came.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// One more than the highest number that came.
    next: u64,
    /// Whether the last ones came: number `n` is bit `n % 64` of word `n / 64`, around the end. It
    /// grows to its length as the numbers do.
    words: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It did not come before, and is noted now.
    New,
    /// It came before.
    Again,
    /// So many came after it that nobody knows.
    TooLate,
}

impl Window {
    /// Notes a number, which must be that of an authentic message.
    pub(super) fn note(&mut self, number: u64) -> Seen {
        if number.saturating_add(WINDOW) < self.next {
            return Seen::TooLate;
        }
        if number >= self.next {
            self.advance(number);
        }
        let (index, bit) = place(number);
        let Some(word) = self.words.get_mut(index) else {
            return Seen::TooLate;
        };
        if *word & bit != 0 {
            return Seen::Again;
        }
        *word |= bit;
        Seen::New
    }

    /// Makes a number the highest: what falls out of the window is forgotten.
    fn advance(&mut self, number: u64) {
        let (old, new) = (self.next / WORD, number / WORD);
        // The words that `next` is past of, and is not in, hold numbers of a round before.
        let first = if self.next.is_multiple_of(WORD) {
            old
        } else {
            old + 1
        };
        if first.saturating_add(WORDS) <= new {
            self.words.clear();
        }
        let needed = usize::try_from(new.saturating_add(1).min(WORDS)).unwrap_or(usize::MAX);
        if self.words.len() < needed {
            self.words.resize(needed, 0);
        }
        let from = first.max((new + 1).saturating_sub(WORDS));
        for word in from..=new {
            if let Some(word) = self.words.get_mut(place(word * WORD).0) {
                *word = 0;
            }
        }
        self.next = number + 1;
    }
}

/// One word more than the window, so that the word of the newest never holds the oldest too.
const WORDS: u64 = WINDOW / WORD + 1;

fn place(number: u64) -> (usize, u64) {
    let index = usize::try_from(number / WORD % WORDS).unwrap_or(usize::MAX);
    (index, 1 << (number % WORD))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_number_is_new_once() {
        let mut window = Window::default();
        for number in [0, 3, 1, 64, 63, 2] {
            assert_eq!(window.note(number), Seen::New, "{number}");
            assert_eq!(window.note(number), Seen::Again, "{number}");
        }
    }

    #[test]
    fn what_is_behind_the_window_is_too_late() {
        let mut window = Window::default();
        assert_eq!(window.note(WINDOW), Seen::New);
        assert_eq!(window.note(1), Seen::New);
        assert_eq!(window.note(0), Seen::TooLate);
        assert_eq!(window.note(u64::MAX - 1), Seen::New);
        assert_eq!(window.note(WINDOW), Seen::TooLate);
        assert_eq!(window.note(u64::MAX - 1), Seen::Again);
        assert_eq!(window.note(u64::MAX - 2), Seen::New);
    }

    #[test]
    fn it_agrees_with_a_set_of_all_numbers() {
        // Steps of a generator that visits near and far numbers in no order.
        let (mut window, mut set) = (Window::default(), HashSet::new());
        let (mut state, mut highest) = (1_u64, 0_u64);
        for round in 0..200_000_u64 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let spread = match state >> 62 {
                0 => 3,
                1 => 70,
                2 => 9000,
                _ => 20_000,
            };
            let number = (round + (state >> 33) % spread).saturating_sub(spread / 2);
            let due = if number + WINDOW < highest {
                Seen::TooLate
            } else if set.insert(number) {
                Seen::New
            } else {
                Seen::Again
            };
            assert_eq!(window.note(number), due, "{number} of {highest}");
            highest = highest.max(number + 1);
        }
    }
}
