//! The model player: when would a viewer have seen the picture stand still?
//!
//! It plays all tracks in real time from one position. It begins once every track has media and
//! `preroll` is buffered, stalls when the shortest track is used up, and goes on with the next arrival
//! that brings every track past the position. Times are nanoseconds of any one clock; media times of any
//! one timeline.

/// A model player of some tracks.
#[derive(Clone, Debug)]
pub(super) struct Player {
    preroll: u64,
    /// Buffered media of each track: from, to.
    tracks: Vec<Option<(u64, u64)>>,
    state: State,
    stalls: u64,
    stalled: u64,
    played: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was played yet.
    Filling,
    Playing {
        since: u64,
        position: u64,
    },
    Stalled {
        since: u64,
        position: u64,
    },
}

// === impl Player ===

impl Player {
    pub(super) fn new(tracks: usize, preroll: u64) -> Self {
        Self {
            preroll,
            tracks: vec![None; tracks],
            state: State::Filling,
            stalls: 0,
            stalled: 0,
            played: 0,
        }
    }

    /// Media `from..to` of a track is there at `now`.
    pub(super) fn arrived(&mut self, track: usize, from: u64, to: u64, now: u64) {
        self.settle(now);
        if let Some(buffered) = self.tracks.get_mut(track) {
            *buffered = Some(buffered.map_or((from, to), |(start, end)| (start, end.max(to))));
        }
        let Some(end) = self.end() else {
            return;
        };
        match self.state {
            State::Filling => {
                let start = self
                    .tracks
                    .iter()
                    .flatten()
                    .map(|(from, _)| *from)
                    .max()
                    .unwrap_or(end);
                if end > start && end - start >= self.preroll {
                    self.state = State::Playing {
                        since: now,
                        position: start,
                    };
                }
            }
            State::Stalled { since, position } if end > position => {
                self.stalled += now.saturating_sub(since);
                self.state = State::Playing {
                    since: now,
                    position,
                };
            }
            State::Playing { .. } | State::Stalled { .. } => {}
        }
    }

    /// Lets time pass: playing may have run dry on the way.
    pub(super) fn settle(&mut self, now: u64) {
        let (State::Playing { since, position }, Some(end)) = (self.state, self.end()) else {
            return;
        };
        let advance = now.saturating_sub(since);
        let left = end.saturating_sub(position);
        if advance <= left {
            self.state = State::Playing {
                since: now.max(since),
                position: position + advance,
            };
            self.played += advance;
        } else {
            self.state = State::Stalled {
                since: since + left,
                position: end,
            };
            self.played += left;
            self.stalls += 1;
        }
    }

    /// Times it ran dry.
    pub(super) fn stalls(&self) -> u64 {
        self.stalls
    }

    /// Time spent dry, up to `now`.
    pub(super) fn stalled(&self, now: u64) -> u64 {
        match self.state {
            State::Stalled { since, .. } => self.stalled + now.saturating_sub(since),
            State::Filling | State::Playing { .. } => self.stalled,
        }
    }

    /// Media played.
    pub(super) fn played(&self) -> u64 {
        self.played
    }

    /// Media of a track ahead of the position at `now`; none = nothing is being played.
    pub(super) fn ahead(&mut self, track: usize, now: u64) -> Option<u64> {
        self.settle(now);
        let (_, to) = (*self.tracks.get(track)?)?;
        match self.state {
            State::Playing { position, .. } => Some(to.saturating_sub(position)),
            State::Filling | State::Stalled { .. } => None,
        }
    }

    /// Up to where every track has media.
    fn end(&self) -> Option<u64> {
        let ends: Option<Vec<u64>> = self
            .tracks
            .iter()
            .map(|track| track.map(|(_, to)| to))
            .collect();
        ends?.into_iter().min()
    }
}

#[cfg(test)]
mod tests {
    use super::Player;

    const S: u64 = 1_000_000_000;

    #[test]
    fn segments_in_time_play_without_a_stall() {
        let mut player = Player::new(2, 0);
        for n in 0..10 {
            let now = n * 2 * S;
            player.arrived(0, n * 2 * S, (n + 1) * 2 * S, now);
            player.arrived(1, n * 2 * S, (n + 1) * 2 * S, now + S / 10);
        }
        player.settle(19 * S);
        assert_eq!((player.stalls(), player.stalled(19 * S)), (0, 0));
        let mut player = Player::new(1, 0);
        player.arrived(0, 0, 2 * S, 0);
        for n in 1..10 {
            player.arrived(0, n * 2 * S, (n + 1) * 2 * S, n * 2 * S - S / 2);
        }
        player.settle(19 * S);
        assert_eq!((player.stalls(), player.played()), (0, 19 * S));
    }

    #[test]
    fn a_late_segment_is_one_stall_of_its_lateness() {
        let mut player = Player::new(1, 0);
        player.arrived(0, 100 * S, 102 * S, 0);
        player.arrived(0, 102 * S, 104 * S, 5 * S);
        assert_eq!((player.stalls(), player.stalled(5 * S)), (1, 3 * S));
        player.settle(7 * S);
        assert_eq!((player.stalls(), player.played()), (1, 4 * S));
        player.settle(8 * S);
        assert_eq!((player.stalls(), player.stalled(9 * S)), (2, 5 * S));
    }

    #[test]
    fn the_shortest_track_decides() {
        let mut player = Player::new(2, 0);
        player.arrived(0, 0, 10 * S, 0);
        player.settle(5 * S);
        assert_eq!(player.played(), 0, "audio is missing");
        player.arrived(1, 0, 2 * S, 5 * S);
        player.settle(8 * S);
        assert_eq!((player.stalls(), player.played()), (1, 2 * S));
        player.arrived(0, 10 * S, 12 * S, 9 * S);
        assert_eq!(player.stalled(9 * S), 2 * S, "more video does not help");
    }

    #[test]
    fn tracks_that_barely_overlap_wait_for_more() {
        let mut player = Player::new(2, S / 2);
        player.arrived(0, 2 * S, 4 * S, 0);
        player.arrived(1, 0, 2 * S + S / 50, 0);
        player.settle(S);
        assert_eq!((player.stalls(), player.played()), (0, 0));
        player.arrived(1, 2 * S + S / 50, 4 * S, S);
        player.settle(3 * S);
        assert_eq!((player.stalls(), player.played()), (0, 2 * S));
    }

    #[test]
    fn what_is_ahead_is_counted_per_track_while_it_plays() {
        let mut player = Player::new(2, 0);
        player.arrived(0, 0, 6 * S, 0);
        assert_eq!(player.ahead(0, S), None, "nothing is played");
        player.arrived(1, 0, 2 * S, S);
        assert_eq!(
            (player.ahead(0, 2 * S), player.ahead(1, 2 * S)),
            (Some(5 * S), Some(S))
        );
        assert_eq!(player.ahead(0, 4 * S), None, "it stands still");
        assert_eq!(player.ahead(2, 2 * S), None);
    }

    #[test]
    fn preroll_is_filled_before_playing() {
        let mut player = Player::new(1, 3 * S);
        player.arrived(0, 0, S, 0);
        player.arrived(0, S, 2 * S, S);
        player.settle(2 * S);
        assert_eq!(player.played(), 0);
        player.arrived(0, 2 * S, 3 * S, 2 * S);
        player.settle(4 * S);
        assert_eq!((player.stalls(), player.played()), (0, 2 * S));
    }
}
