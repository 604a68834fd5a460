//! Who calls when in the demo: the same seed gives the same calls, numbers, names and start offsets.
//! Pure; `fleet` lives it out.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::call::Direction;

use super::rng::Rng;
use super::speech::{Ending, Kind, Line, Script, library};

/// What the demo was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demo {
    pub seed: u64,
    /// Calls alive at a time, about.
    pub calls: usize,
    /// Scales the gaps between calls, never the sound. 1.0 = as written.
    pub speed: f64,
    /// Every conversation once, then end.
    pub once: bool,
}

impl Default for Demo {
    fn default() -> Self {
        Self {
            seed: 1,
            calls: 12,
            speed: 1.0,
            once: false,
        }
    }
}

/// One call to come.
#[derive(Clone, Debug)]
pub struct Planned {
    /// From the start of the demo.
    pub at: Duration,
    pub script: Arc<Script>,
    pub direction: Direction,
    /// The person's number; fictional by the rules of its numbering plan.
    pub number: String,
    pub name: String,
    pub lead_id: String,
    pub parties: Parties,
}

/// Between whom a call of the demo is bridged. Every pair comes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parties {
    /// `twilio` or `plivo`.
    pub carrier: &'static str,
    /// `elevenlabs` or `openai`.
    pub agent: &'static str,
}

impl Parties {
    /// By turns, but where only one of them can show what the conversation is there to show: one
    /// agent vendor runs tools itself, one carrier hears the end of a machine's message, the other
    /// tells that the line was cut.
    fn of(script: &Script, count: u64) -> Self {
        let inbound = script.direction == Direction::Inbound;
        let has_tool = script
            .lines
            .iter()
            .any(|line| matches!(line, Line::Tool(_)));
        let (carrier, agent) = match count % 4 {
            _ if script.ending == Ending::Line => ("plivo", "openai"),
            _ if has_tool || script.kind == Kind::Voicemail => ("twilio", "elevenlabs"),
            0 => ("twilio", "openai"),
            1 => ("plivo", "openai"),
            2 => ("twilio", "elevenlabs"),
            _ => ("plivo", "elevenlabs"),
        };
        // Who calls us meets the agent its carrier meets by itself.
        match (inbound, carrier) {
            (true, "plivo") => Self {
                carrier,
                agent: "openai",
            },
            (true, _) => Self {
                carrier,
                agent: "elevenlabs",
            },
            (false, _) => Self { carrier, agent },
        }
    }
}

/// The demo opens with one of each kind, the liveliest first.
const OPENING: [&str; 16] = [
    "appointment",
    "barge_in",
    "voicemail",
    "loop",
    "order_lookup",
    "no_answer",
    "bad_line",
    "busy",
    "dead_air",
    "hostile",
    "reconnect",
    "slow_agent",
    "rejected",
    "agent_lost",
    "human",
    "long",
];
/// All openings are placed within this time, where there are enough lines.
const OPENING_WITHIN: Duration = Duration::from_secs(25);
const STAGGER_MAX: Duration = Duration::from_millis(2_100);
/// Between two calls on one line.
const GAP_MS: (u64, u64) = (1_500, 6_000);

const NAMES: [&str; 48] = [
    "Amara Osei",
    "Søren Lund",
    "Chloé Martin",
    "Priya Raman",
    "Daniel Whitlock",
    "Noor Haddad",
    "Tomasz Zieliński",
    "Beatriz Araújo",
    "Henry Coldwell",
    "Mei Tanaka",
    "Olga Petrenko",
    "Samuel Okoye",
    "Ingrid Falk",
    "Luca Bellini",
    "Fatima Zahra",
    "George Pemberton",
    "Hannah Weiss",
    "Kwame Boateng",
    "Siobhán Kelly",
    "Arjun Mehta",
    "Elif Yıldız",
    "Peter Novák",
    "Rosa Delgado",
    "William Achterberg",
    "Yuki Mori",
    "Zoë Lambert",
    "Ahmed Rashid",
    "Clara Johansson",
    "Dmitri Volkov",
    "Esther Nwosu",
    "Felix Braun",
    "Gabriela Rojas",
    "Isaac Mensah",
    "Julia Kowalska",
    "Karim Benali",
    "Lena Hoffmann",
    "Marcus Thorne",
    "Nadia Rahimi",
    "Oscar Lindqvist",
    "Paula Esteves",
    "Quentin Marsh",
    "Ruth Abara",
    "Stefan Dragović",
    "Tess Mulligan",
    "Uma Krishnan",
    "Victor Salazar",
    "Wren Holloway",
    "Xavier Dupont",
];
const AREA_CODES: [&str; 12] = [
    "206", "212", "303", "312", "404", "415", "503", "512", "617", "702", "713", "808",
];

/// An endless (or, with `once`, finite) list of calls in starting order.
#[derive(Debug)]
pub struct Schedule {
    demo: Demo,
    rng: Rng,
    /// When each line is free again, in milliseconds.
    lines: BinaryHeap<Reverse<(u64, usize)>>,
    bag: VecDeque<Arc<Script>>,
    refills: u32,
    names: VecDeque<&'static str>,
    count: u64,
}

impl Schedule {
    pub fn new(demo: Demo) -> Self {
        let rng = Rng::new(demo.seed).fork("schedule");
        let lines = demo.calls.max(1);
        let stagger = STAGGER_MAX.min(OPENING_WITHIN / lines as u32);
        let speed = if demo.speed > 0.0 { demo.speed } else { 1.0 };
        let demo = Demo { speed, ..demo };
        let free = (0..lines)
            .map(|line| {
                let at = scaled((stagger * line as u32).as_millis() as u64, speed);
                Reverse((at, line))
            })
            .collect();
        let by_id = |id: &&str| library().iter().find(|s| s.id == *id).cloned();
        let mut bag: VecDeque<_> = OPENING.iter().filter_map(by_id).collect();
        if demo.once {
            let rest = library()
                .iter()
                .filter(|s| !OPENING.contains(&s.id.as_str()));
            bag.extend(rest.cloned());
        }
        Self {
            demo,
            rng,
            lines: free,
            bag,
            refills: 0,
            names: VecDeque::new(),
            count: 0,
        }
    }

    /// After the opening: everything again in a new order, the ordinary calls twice.
    fn refill(&mut self) {
        let ordinary = |s: &Arc<Script>| matches!(s.kind, Kind::Healthy | Kind::Tool | Kind::Help);
        let mut bag: Vec<_> = library().to_vec();
        bag.extend(library().iter().filter(|s| ordinary(s)).cloned());
        self.rng.shuffle(&mut bag);
        self.bag = bag.into();
        self.refills += 1;
    }

    fn name(&mut self) -> &'static str {
        if self.names.is_empty() {
            let mut names = NAMES;
            self.rng.shuffle(&mut names);
            self.names = names.into();
        }
        self.names.pop_front().unwrap_or("Unknown")
    }

    /// Numbers nobody has: 555-0100 to 555-0199 in North America, Ofcom's drama numbers in Britain.
    /// 2,200 different ones before the first comes again.
    fn number(&self) -> String {
        let n = (self.demo.seed.wrapping_mul(131) % 2_200 + self.count * 617) % 2_200;
        match AREA_CODES.get((n / 100) as usize) {
            Some(area) => format!("+1{area}55501{:02}", n % 100),
            None => format!("+447700900{:03}", n % 1_000),
        }
    }
}

impl Iterator for Schedule {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        if self.bag.is_empty() {
            if self.demo.once {
                return None;
            }
            self.refill();
        }
        let Reverse((at_ms, line)) = self.lines.pop()?;
        let script = self.bag.pop_front()?;
        let name = self.name();
        let number = self.number();
        let parties = Parties::of(&script, self.count);
        self.count += 1;
        let (low, high) = GAP_MS;
        let gap_ms = scaled(self.rng.between(low, high), self.demo.speed);
        let busy_ms = script.whole_time().as_millis() as u64;
        self.lines.push(Reverse((at_ms + busy_ms + gap_ms, line)));
        Some(Planned {
            at: Duration::from_millis(at_ms),
            direction: script.direction,
            name: script.name.clone().unwrap_or_else(|| name.to_owned()),
            lead_id: format!("lead_{:04}", 1_000 + self.count),
            number,
            parties,
            script,
        })
    }
}

fn scaled(ms: u64, speed: f64) -> u64 {
    (ms as f64 / speed).round() as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::simulator::speech::Outcome;

    fn lines(demo: Demo, count: usize) -> Vec<String> {
        let line = |p: Planned| {
            format!(
                "{:?} {} {:?} {} {} {:?}",
                p.at, p.script.id, p.direction, p.number, p.name, p.parties
            )
        };
        Schedule::new(demo).take(count).map(line).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_demo_and_another_seed_another_one() {
        let demo = Demo::default();
        assert_eq!(lines(demo, 300), lines(demo, 300));
        assert_ne!(lines(demo, 300), lines(Demo { seed: 2, ..demo }, 300));
    }

    #[test]
    fn all_kinds_appear_within_forty_seconds() {
        let kinds: HashSet<Kind> = Schedule::new(Demo::default())
            .take_while(|p| p.at < Duration::from_secs(40))
            .map(|p| p.script.kind)
            .collect();
        let all: HashSet<Kind> = library().iter().map(|s| s.kind).collect();
        assert_eq!(kinds, all);
    }

    #[test]
    fn every_pair_of_carrier_and_agent_is_on_the_board_within_forty_seconds() {
        for seed in 1..20 {
            let demo = Demo {
                seed,
                ..Demo::default()
            };
            let pairs: HashSet<Parties> = Schedule::new(demo)
                .take_while(|p| p.at < Duration::from_secs(40))
                .map(|p| p.parties)
                .collect();
            assert_eq!(pairs.len(), 4, "seed {seed}: {pairs:?}");
        }
    }

    #[test]
    fn the_first_call_starts_at_once_and_starts_are_in_order() {
        let at: Vec<_> = Schedule::new(Demo::default())
            .take(500)
            .map(|p| p.at)
            .collect();
        assert_eq!(at[0], Duration::ZERO);
        assert!(at.is_sorted());
    }

    #[test]
    fn about_as_many_calls_as_asked_for_are_alive() {
        for calls in [4, 12, 60] {
            let planned: Vec<_> = Schedule::new(Demo {
                calls,
                ..Demo::default()
            })
            .take_while(|p| p.at < Duration::from_secs(400))
            .collect();
            for second in (60..300).step_by(7) {
                let now = Duration::from_secs(second);
                let alive = planned
                    .iter()
                    .filter(|p| p.at <= now && now < p.at + p.script.whole_time());
                let share = alive.count() as f64 / calls as f64;
                assert!(
                    (0.5..=1.0).contains(&share),
                    "{calls} calls, {second} s: {share}"
                );
            }
        }
    }

    #[test]
    fn no_two_living_calls_share_a_number_and_none_is_real() {
        let planned: Vec<_> = Schedule::new(Demo {
            calls: 200,
            ..Demo::default()
        })
        .take(1_000)
        .collect();
        let numbers: HashSet<_> = planned.iter().map(|p| p.number.clone()).collect();
        assert_eq!(numbers.len(), planned.len());
        for number in numbers {
            let us = number.len() == 12 && number.get(5..10) == Some("55501");
            assert!(us || number.starts_with("+447700900"), "{number}");
        }
    }

    #[test]
    fn once_plays_every_conversation_once_and_speed_leaves_sound_alone() {
        let once: Vec<_> = Schedule::new(Demo {
            once: true,
            ..Demo::default()
        })
        .collect();
        assert_eq!(once.len(), library().len());
        let fast = Schedule::new(Demo {
            speed: 4.0,
            ..Demo::default()
        })
        .nth(3)
        .unwrap();
        let plain = Schedule::new(Demo::default()).nth(3).unwrap();
        assert!(fast.at * 3 < plain.at);
        assert_eq!(fast.script.whole_time(), plain.script.whole_time());
        assert!(once.iter().any(|p| p.script.outcome == Outcome::Busy));
    }
}
