//! Many faults in one overlay, in turns, with the same viewers throughout: a distribution in
//! minutes. What the last faults left behind (backoff, quarantine, members that have just returned)
//! is part of the next one's world.

use super::scene::Scene;
use super::*;

/// What comes back for every fault.
pub(crate) type Tell<'a> = &'a mut dyn FnMut(Report) -> anyhow::Result<()>;

impl Conductor {
    /// Plays each scenario so many times; tells of every fault, and of the viewers in the end.
    pub(crate) async fn play_series(
        &mut self,
        scenarios: &[&'static Scenario],
        rounds: u32,
        tell: Tell<'_>,
    ) -> anyhow::Result<()> {
        let mut left: Vec<&'static Scenario> = scenarios.to_vec();
        while let Some(first) = left.first().map(|one| company(one)) {
            let (together, others) = left.into_iter().partition(|one| company(one) == first);
            left = others;
            self.play_together(together, rounds, tell).await?;
        }
        Ok(())
    }

    async fn play_together(
        &mut self,
        scenarios: Vec<&'static Scenario>,
        rounds: u32,
        tell: Tell<'_>,
    ) -> anyhow::Result<()> {
        let Some(first) = scenarios.first() else {
            return Ok(());
        };
        let (mut scene, chance) = self.scene(first.stage()).await?;
        scene.prepare(first.plot, chance.secret).await?;
        scene.settle = SETTLE;
        for _ in 0..rounds {
            for scenario in &scenarios {
                let mut report = scene.one_more(scenario, chance.random).await?;
                report.seed = chance.seed;
                tell(report)?;
            }
        }
        let mut report = scene.end().await?;
        report.seed = chance.seed;
        tell(report)
    }
}

/// Which scenarios share an overlay and its viewers. Whoever kills edges drives all viewers to one
/// of them, and would leave the others nothing to hurt.
fn company(scenario: &Scenario) -> (Stage, bool) {
    let kills_edges = match scenario.plot {
        Plot::Hurt(harms) => harms.iter().any(|(_, target)| *target == Target::Edge),
        _ => false,
    };
    (scenario.stage(), kills_edges)
}

impl Scene<'_> {
    /// One fault, undone and survived, and what was seen of it.
    async fn one_more(
        &mut self,
        scenario: &'static Scenario,
        random: &mut StdRng,
    ) -> anyhow::Result<Report> {
        let phase = random.random_range(0..self.segment_ms);
        tokio::time::sleep(Duration::from_millis(phase)).await;
        self.forget();
        let Plot::Hurt(harms) = scenario.plot else {
            bail!("{} is no fault that comes and goes", scenario.name);
        };
        let found = async |scene: &mut Self| {
            let sources = scene.sources();
            let (records, stream) = (&scene.running.records, scene.stream);
            let find = |target| scene.cast.find(target, records, stream, &sources);
            harms.iter().all(|(_, target)| find(*target).is_ok())
        };
        // Orphans of the last faults go home first.
        if !self.wait(ADVANCE, found).await {
            bail!(
                "nobody is where {} would hurt within {ADVANCE:?}",
                scenario.name
            );
        }
        let canary = Canary::start();
        self.refresh();
        let (fault, done) = inject::hurt(
            harms,
            self.cast,
            &self.running.overlay,
            self.running.detours.as_ref(),
            &self.running.records,
            self.stream,
            &self.sources(),
        )?;
        let judged = self.faults.len();
        self.hurt(fault, done).await?;
        tokio::time::sleep(FLUSHED).await;
        self.refresh();
        let canary_lag_ms = canary.worst_ms();
        let figures = measure::measure(&Question {
            records: &self.running.records,
            stream: self.stream,
            since_ms: self.since_ms,
            faults: &self.faults,
            judged,
            until_ms: unix_ms(),
            segment_ms: self.segment_ms,
            edges: &self.sources(),
        });
        let report = Report {
            reasons: std::mem::take(&mut self.late),
            stream: self.stream.to_owned(),
            members: self.cast.count(),
            faults: self.faults.last().cloned().into_iter().collect(),
            figures,
            canary_lag_ms,
            ..Report::of(scenario.name)
        };
        Ok(report.judge(scenario.switches))
    }

    /// Old rows say nothing new; those of the last fault overlap, so that no row is never looked at.
    fn forget(&mut self) {
        let now = unix_ms();
        let records = &mut self.running.records;
        let since = (now - REMEMBERED_MS).max(self.since_ms);
        records.arrivals.retain(|row| row.unix_ms >= since);
        records.events.retain(|event| event.unix_ms >= since);
        self.faults.retain(|fault| fault.unix_ms >= since);
        self.since_ms = since;
    }

    async fn end(&mut self) -> anyhow::Result<Report> {
        let mut viewers = Viewers::default();
        for viewer in std::mem::take(&mut self.viewers) {
            viewers.add(viewer.end().await?);
        }
        let report = Report {
            viewers,
            stream: self.stream.to_owned(),
            members: self.cast.count(),
            ..Report::of(VIEWERS)
        };
        Ok(report.judge(false))
    }
}

/// Longer than a fault, its undoing and a return take, and than a returned member is new.
const REMEMBERED_MS: u64 = 25_000;
/// Segments between a fault and what follows it.
const SETTLE: u64 = 1;
/// Of the line that ends a series.
const VIEWERS: &str = "viewers";
