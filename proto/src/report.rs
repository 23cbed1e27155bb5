//! What a report leaves out because it was said in the same call, and heard.
//!
//! A member's offers hold posters, so they are nearly all of a report, and they seldom change. They travel until the
//! control plane says that it holds them ([`v1::Kept`]) and again after every change; the reports between name their
//! version. A control plane that says nothing, being older, is told everything every time. What was said in one call
//! counts for nothing in the next. Pure.

use crate::v1;

/// What one call has said. Lives as long as the call.
#[derive(Debug, Default)]
pub struct Said {
    offers: Vec<v1::Offer>,
    version: u64,
    kept: u64,
}

impl Said {
    /// The report as it is to be sent: without what is known to be held.
    pub fn shorten(&mut self, mut report: v1::Report) -> v1::Report {
        if self.offers != report.offers {
            self.version += 1;
            self.offers.clone_from(&report.offers);
        }
        report.offers_version = self.version;
        // None are as short as can be, and told as they are.
        if self.kept == self.version && !report.offers.is_empty() {
            report.offers.clear();
            report.offers_unchanged = true;
        }
        report
    }

    /// The control plane says what it holds. What has been superseded meanwhile counts for nothing.
    pub fn handle_kept(&mut self, kept: v1::Kept) {
        if kept.offers_version == self.version {
            self.kept = kept.offers_version;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;

    use super::*;

    fn report(streams: &[&str]) -> v1::Report {
        let offer = |stream: &&str| v1::Offer {
            stream: (*stream).to_owned(),
            poster: Bytes::from(vec![7; 6_000]),
            ..Default::default()
        };
        v1::Report {
            sequence: 9,
            role: "origin".to_owned(),
            offers: streams.iter().map(offer).collect(),
            ..Default::default()
        }
    }

    fn kept(offers_version: u64) -> v1::Kept {
        v1::Kept { offers_version }
    }

    #[test]
    fn offers_travel_until_they_are_held_and_after_every_change() {
        let mut said = Said::default();
        let bytes = |said: &mut Said, streams: &[&str]| {
            let sent = said.shorten(report(streams));
            (sent.encoded_len(), sent.offers.len(), sent.offers_unchanged)
        };
        // Nobody confirms: an older control plane, or one that dropped the report.
        let whole = bytes(&mut said, &["plum", "fig"]);
        assert_eq!((whole.1, whole.2), (2, false));
        assert!(whole.0 > 12_000, "{whole:?}");
        assert_eq!(bytes(&mut said, &["plum", "fig"]), whole);
        said.handle_kept(kept(1));
        assert_eq!(bytes(&mut said, &["plum", "fig"]), (16, 0, true));
        assert_eq!(bytes(&mut said, &["plum", "fig"]), (16, 0, true));
        // A change, whose confirmation is still on the way when the next report is due.
        assert_eq!(bytes(&mut said, &["plum"]).1, 1);
        said.handle_kept(kept(1));
        assert_eq!(bytes(&mut said, &["plum"]).1, 1);
        said.handle_kept(kept(2));
        assert_eq!(bytes(&mut said, &["plum"]), (16, 0, true));
        // Nothing offered is said as that, and is not the same as nothing new.
        assert_eq!(bytes(&mut said, &[]), (13, 0, false));
        said.handle_kept(kept(3));
        assert_eq!(bytes(&mut said, &[]), (13, 0, false));
        assert_eq!(
            bytes(&mut said, &["plum"]).1,
            1,
            "what was held has been replaced"
        );
    }

    #[test]
    fn who_never_offered_anything_names_no_version() {
        let sent = Said::default().shorten(report(&[]));
        assert_eq!(sent, report(&[]));
    }
}
