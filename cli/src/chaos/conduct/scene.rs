//! One run of one scenario: viewers, the fault, conditions, and what was seen.

use super::*;

/// One run of one scenario.
pub(super) struct Scene<'a> {
    pub(super) running: &'a mut Running,
    pub(super) cast: &'a Cast,
    pub(super) stream: &'a str,
    pub(super) segment_ms: u64,
    pub(super) viewers: Vec<Viewer>,
    pub(super) since_ms: u64,
    pub(super) faults: Vec<Fault>,
    pub(super) undone_ms: Option<u64>,
    /// What did not happen in time.
    pub(super) late: Vec<String>,
    /// Segments that every viewer gets before the next step.
    pub(super) settle: u64,
}

impl Scene<'_> {
    pub(super) async fn play(
        mut self,
        scenario: &'static Scenario,
        random: &mut StdRng,
        leaves: usize,
        secret: &str,
    ) -> anyhow::Result<(Report, String)> {
        self.prepare(scenario.plot, secret).await?;
        // Any moment of a segment is as good as another; the seed chooses.
        let phase = random.random_range(0..self.segment_ms);
        tokio::time::sleep(Duration::from_millis(phase)).await;
        let canary = Canary::start();
        self.refresh();
        match scenario.plot {
            Plot::Hurt(harms) => {
                let (fault, done) = inject::hurt(
                    harms,
                    self.cast,
                    &self.running.overlay,
                    self.running.detours.as_ref(),
                    &self.running.records,
                    self.stream,
                    &self.sources(),
                )?;
                self.hurt(fault, done).await?;
            }
            Plot::Rolling => self.roll().await?,
            Plot::Churn => self.churn(random, leaves).await?,
            Plot::WrongClock | Plot::FullDisk => self.advance(AFTER, "the start").await,
        }
        let canary_lag_ms = canary.worst_ms();
        drop(canary);
        self.finish(scenario, canary_lag_ms).await
    }

    /// A whole overlay, viewers at every edge, and a few segments for each.
    pub(super) async fn prepare(&mut self, plot: Plot, secret: &str) -> anyhow::Result<()> {
        let count = self.cast.count() + 1;
        let whole = self.wait(WHOLE, async |scene| {
            scene.running.overlay.is_whole(count).await
        });
        if !whole.await {
            bail!("not all {count} members were ready within {WHOLE:?}");
        }
        tracing::info!("every member is ready");
        if !matches!(plot, Plot::FullDisk | Plot::WrongClock) {
            let stream = self.stream.to_owned();
            let offered = self.wait(PREPARED, async |scene| {
                scene.running.overlay.candidates(&stream).await.len() >= 2
            });
            if !offered.await {
                bail!("no two content servers offered {stream:?} within {PREPARED:?}");
            }
        }
        tracing::info!(stream = self.stream, "two content servers offer the stream");
        self.refresh();
        self.running.records.arrivals.clear();
        self.running.records.events.clear();
        self.since_ms = unix_ms();
        self.start_viewers(secret)?;
        let warm = self.wait(WARM, async |scene| scene.is_warm());
        if !warm.await {
            bail!("viewers did not get {WARM_SEGMENTS} segments each within {WARM:?}");
        }
        tracing::info!("every viewer has {WARM_SEGMENTS} segments");
        Ok(())
    }

    fn start_viewers(&mut self, secret: &str) -> anyhow::Result<()> {
        let overlay = &self.running.overlay;
        let members = overlay.members();
        let edges: Vec<_> = self.cast.edges.iter().collect();
        let address = |grpc: bool, edge: &String| -> anyhow::Result<String> {
            let member = members.get(edge);
            let member = member.with_context(|| format!("{edge} does not run"))?;
            Ok(if grpc {
                format!("grpc://{}/{}", member.grpc, self.stream)
            } else {
                format!("http://{}/{}/index.m3u8", member.http, self.stream)
            })
        };
        let mut starts = Vec::new();
        for first in 0..edges.len().min(MOST_VIEWERS) {
            starts.push((format!("hls-{first}"), false, first));
        }
        starts.push(("grpc-0".to_owned(), true, edges.len() - 1));
        for (name, grpc, first) in starts {
            let rotated = edges.iter().cycle().skip(first).take(edges.len());
            let urls: anyhow::Result<Vec<_>> = rotated.map(|edge| address(grpc, edge)).collect();
            let viewer = Viewer::start(&name, &urls?, overlay.work(), secret)?;
            self.viewers.push(viewer);
        }
        Ok(())
    }

    fn is_warm(&self) -> bool {
        let mut seen: BTreeMap<(&str, &str), BTreeSet<u64>> = BTreeMap::new();
        for row in self.rows() {
            let numbers = seen.entry((&row.to, &row.track)).or_default();
            numbers.insert(row.number);
        }
        // Other members may come and go: demand moves.
        self.viewers.iter().all(|viewer| {
            let mut of = seen.iter().filter(|((to, _), _)| is_of(to, &viewer.name));
            let mut some = false;
            of.all(|(_, numbers)| {
                some = true;
                numbers.len() >= WARM_SEGMENTS
            }) && some
        })
    }

    pub(super) async fn hurt(&mut self, fault: Fault, done: Vec<Done>) -> anyhow::Result<()> {
        let (what, deadly) = (fault.what.clone(), fault.deadly);
        tracing::info!("{what}");
        self.faults.push(fault);
        // What stands still must stand long enough to be noticed.
        let first = if done.is_empty() { self.settle } else { AFTER };
        self.advance(first, &what).await;
        if !done.is_empty() {
            let detours = self.running.detours.as_ref();
            inject::undo(done, &self.running.overlay, detours)?;
            self.undone_ms = Some(unix_ms());
            self.advance(self.settle, "the undoing").await;
        }
        if deadly {
            self.whole_again(&what).await;
            self.advance(self.settle, "the return").await;
        }
        Ok(())
    }

    /// Every relay in turn: asked to leave, back, and the stream goes on.
    async fn roll(&mut self) -> anyhow::Result<()> {
        for member in self.cast.all_relays() {
            let fault = inject::leave(&self.running.overlay, &member, Signal::TERM)?;
            let what = fault.what.clone();
            self.faults.push(fault);
            let old = self.running.overlay.members().remove(&member);
            let left = async |scene: &mut Self| {
                scene.running.overlay.members().get(&member).map(|m| m.pid)
                    != old.as_ref().map(|m| m.pid)
            };
            if !self.wait(RETURN, left).await {
                self.late.push(format!("{member} did not leave"));
            }
            self.whole_again(&what).await;
            self.advance(1, &what).await;
        }
        self.advance(AFTER, "the last return").await;
        Ok(())
    }

    /// Members leave at random; they return by themselves.
    async fn churn(&mut self, random: &mut StdRng, leaves: usize) -> anyhow::Result<()> {
        let everybody: Vec<String> = self
            .cast
            .all_relays()
            .into_iter()
            .chain(self.cast.servers.clone())
            .collect();
        for _ in 0..leaves {
            let pause = random.random_range(PAUSES_MS);
            let member = everybody[random.random_range(0..everybody.len())].clone();
            let asked = random.random_bool(0.5);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let spare = async |scene: &mut Self| scene.can_spare(&member);
            if !self.wait(RETURN, spare).await {
                self.late.push(format!("{member} could not be spared"));
                break;
            }
            let signal = if asked { Signal::TERM } else { Signal::KILL };
            let fault = inject::leave(&self.running.overlay, &member, signal)?;
            self.faults.push(fault);
        }
        self.whole_again("churn").await;
        self.advance(AFTER, "churn").await;
        Ok(())
    }

    /// A tree without any root, source or edge is no tree: someone of the same role must stay, and
    /// no more than two may be away.
    fn can_spare(&self, member: &str) -> bool {
        let alive = self.running.overlay.members();
        let roles = [
            &self.cast.servers,
            &self.cast.roots,
            &self.cast.relays,
            &self.cast.edges,
        ];
        let away = self.cast.count() + 1 - alive.len().min(self.cast.count() + 1);
        let others = roles
            .into_iter()
            .find(|role| role.iter().any(|m| m == member));
        let others = others.into_iter().flatten();
        away < MOST_AWAY
            && alive.contains_key(member)
            && others
                .filter(|other| *other != member)
                .any(|other| alive.contains_key(other))
    }

    async fn whole_again(&mut self, after: &str) {
        let count = self.cast.count() + 1;
        let whole = self.wait(RETURN, async |scene| {
            scene.running.overlay.is_whole(count).await
        });
        if !whole.await {
            let alive = self.running.overlay.members();
            let gone: Vec<_> = self
                .cast
                .all_relays()
                .into_iter()
                .chain(self.cast.servers.clone())
                .filter(|member| !alive.contains_key(member))
                .collect();
            // Who is missing says more than that someone is.
            self.late.push(format!(
                "not whole within {RETURN:?} after {after}; gone: {}",
                gone.join(", ")
            ));
        }
    }

    /// Every viewer gets so many more segments of every track.
    async fn advance(&mut self, segments: u64, after: &str) {
        self.refresh();
        let wanted: BTreeMap<(String, String), u64> = self
            .heads()
            .into_iter()
            .map(|(who, head)| (who, head + segments))
            .collect();
        let reached = async |scene: &mut Self| {
            let heads = scene.heads();
            wanted
                .iter()
                .all(|(who, wanted)| heads.get(who).is_some_and(|head| head >= wanted))
        };
        if self.wait(ADVANCE, reached).await {
            tracing::info!("every viewer has {segments} more segments after {after}");
            return;
        }
        let heads = self.heads();
        let stuck: Vec<String> = wanted
            .iter()
            .filter(|(who, wanted)| heads.get(*who).is_none_or(|head| head < *wanted))
            .map(|((viewer, track), _)| format!("{viewer} {track}"))
            .collect();
        self.late.push(format!(
            "no {segments} segments within {ADVANCE:?} after {after} for {}",
            stuck.join(", ")
        ));
    }

    /// The newest number that each viewer has of each track.
    fn heads(&self) -> BTreeMap<(String, String), u64> {
        let mut heads = BTreeMap::new();
        for row in self.rows() {
            if self
                .viewers
                .iter()
                .any(|viewer| is_of(&row.to, &viewer.name))
            {
                let head = heads
                    .entry((row.to.clone(), row.track.clone()))
                    .or_insert(0);
                *head = row.number.max(*head);
            }
        }
        heads
    }

    fn rows(&self) -> impl Iterator<Item = &crate::chaos::records::Arrival> {
        let arrivals = self.running.records.arrivals.iter();
        arrivals.filter(|row| row.stream == self.stream && row.unix_ms >= self.since_ms)
    }

    pub(super) fn refresh(&mut self) {
        let record = self.running.overlay.record();
        self.running.records.refresh(&record);
        for viewer in &self.viewers {
            viewer.refresh(&mut self.running.records, self.stream);
        }
    }

    /// Looks again and again until the condition holds; false = not within the bound.
    pub(super) async fn wait(
        &mut self,
        bound: Duration,
        mut condition: impl AsyncFnMut(&mut Self) -> bool,
    ) -> bool {
        let deadline = Instant::now() + bound;
        loop {
            self.refresh();
            if condition(self).await {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn finish(
        mut self,
        scenario: &'static Scenario,
        canary_lag_ms: u64,
    ) -> anyhow::Result<(Report, String)> {
        let until_ms = unix_ms();
        let edges = self.sources();
        let mut viewers = Viewers::default();
        let watching = std::mem::take(&mut self.viewers);
        for viewer in &watching {
            viewer.refresh(&mut self.running.records, self.stream);
        }
        for viewer in watching {
            viewers.add(viewer.end().await?);
        }
        // Members write what they recorded a moment later.
        tokio::time::sleep(FLUSHED).await;
        self.refresh();
        let records = &self.running.records;
        let figures = measure::measure(&Question {
            records,
            stream: self.stream,
            since_ms: self.since_ms,
            faults: &self.faults,
            judged: 0,
            until_ms,
            segment_ms: self.segment_ms,
            edges: &edges,
        });
        let title = format!("{} · stream {}", scenario.name, self.stream);
        let from_ms = self
            .faults
            .first()
            .map_or(self.since_ms, |fault| fault.unix_ms - 3_000);
        let picture = Picture {
            title: &title,
            records,
            stream: self.stream,
            faults: &self.faults,
            undone_ms: self.undone_ms,
            from_ms,
            until_ms,
            members: &self.cast.all_relays(),
        }
        .draw();
        let mut report = Report {
            reasons: self.late,
            stream: self.stream.to_owned(),
            members: self.cast.count(),
            faults: self.faults,
            figures,
            viewers,
            canary_lag_ms,
            ..Report::of(scenario.name)
        };
        if let Plot::WrongClock | Plot::FullDisk = scenario.plot {
            let wrong = self.cast.servers.first();
            let mut rows = records.arrivals.iter();
            if rows.any(|row| Some(&row.from) == wrong && row.stream == self.stream) {
                let wrong = wrong.map(String::as_str).unwrap_or_default();
                report.reasons.push(format!("{wrong} fed the stream"));
            }
        }
        Ok((report.judge(scenario.switches), picture))
    }

    /// How viewers name edges → edges.
    pub(super) fn sources(&self) -> BTreeMap<String, String> {
        let mut sources = BTreeMap::new();
        for (name, member) in self.running.overlay.members() {
            sources.insert(member.http.clone(), name.clone());
            sources.insert(format!("http://{}", member.grpc), name);
        }
        sources
    }
}

/// Viewers of a process are `name.index`.
fn is_of(receiver: &str, viewer: &str) -> bool {
    receiver
        .strip_prefix(viewer)
        .is_some_and(|rest| rest.starts_with('.'))
}
