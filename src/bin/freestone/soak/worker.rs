//! One thread of a soak: random steps over things and pools of its own, on an allocator that all share.
//!
//! Invariant: what is in `live` is in the shadow, and nothing else of this thread is.

use std::time::Instant;

use freestone::{AllocationError, CreatePoolError, CustomPool, DestroyPoolReason, Intent, PoolStatistics};

use super::audit::audit;
use super::pattern;
use super::random::Random;
use super::tally::Tally;
use super::thing::{Ground, Hand, Thing, lock};
use super::wish::{Order, Wish, pool_info};

/// Things alive at once in one thread, at most. By taste: layers warn of more than 250 memory objects.
const MAX_LIVE: usize = 300;
/// Bytes alive at once in one thread, at most. By taste: a software driver takes them from the machine's memory.
const MAX_LIVE_BYTES: u64 = 96 << 20;
/// Custom pools at once.
const MAX_POOLS: usize = 4;

/// The counters of the whole allocator, and those of a custom pool of one block.
type Counted = (PoolStatistics, Option<PoolStatistics>);

/// One thread's program.
pub(crate) struct Worker<'g, 'a> {
    ground: &'g Ground<'a>,
    random: Random,
    number: u32,
    live: Vec<Thing>,
    live_bytes: u64,
    pools: Vec<Option<CustomPool>>,
    /// Which of the pools keep one block and have no more.
    are_single: [bool; MAX_POOLS],
    made: u32,
    /// What was done; `tally.steps` is the number of the present step.
    pub(crate) tally: Tally,
}

impl<'g, 'a> Worker<'g, 'a> {
    pub(crate) fn new(ground: &'g Ground<'a>, seed: u64, number: u32) -> Self {
        let random = Random::new(seed.rotate_left(32) ^ u64::from(number));
        let pools = (0..MAX_POOLS).map(|_| None).collect();
        let (live, tally) = (Vec::new(), Tally::default());
        Self { ground, random, number, live, live_bytes: 0, pools, are_single: [false; MAX_POOLS], made: 0, tally }
    }

    /// Takes so many steps, or fewer where the time is over before.
    ///
    /// # Errors
    /// What is wrong with the allocator.
    pub(crate) fn run(&mut self, steps: u64, until: Instant) -> Result<(), String> {
        for _ in 0..steps {
            if Instant::now() >= until {
                break;
            }
            self.tally.steps += 1;
            self.step()?;
        }
        Ok(())
    }

    /// Returns how many things live.
    pub(crate) fn live_count(&self) -> u64 {
        self.live.len() as u64
    }

    /// Checks and destroys everything.
    ///
    /// # Errors
    /// What is wrong with the allocator.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        while !self.live.is_empty() {
            self.free()?;
        }
        (0..self.pools.len()).try_for_each(|place| self.destroy_pool(place))
    }

    /// Destroys everything, after a finding: nothing more is asked of it.
    pub(crate) fn abandon(&mut self) {
        for thing in self.live.drain(..) {
            drop(self.ground.destroy_unseen(thing));
        }
        for pool in self.pools.iter_mut().filter_map(Option::take) {
            drop(self.ground.allocator.destroy_pool(pool));
        }
    }

    fn step(&mut self) -> Result<(), String> {
        let allocator = self.ground.allocator;
        if self.live.len() >= MAX_LIVE || self.live_bytes >= MAX_LIVE_BYTES {
            return self.free();
        }
        match self.random.below(200) {
            0..42 => {
                let order = Order::buffer(&mut self.random, self.ground.has_addresses);
                self.make(&order)?;
            }
            42..56 => {
                let order = Order::image(&mut self.random);
                self.make(&order)?;
            }
            56..80 => {
                let order = Order::memory(&mut self.random);
                self.make(&order)?;
            }
            80..146 => self.free()?,
            146..154 => self.rewrite()?,
            154..162 => self.check_one()?,
            162..166 => self.free_most()?,
            166..169 => self.plan()?,
            169 | 170 => self.create_pool()?,
            171 => {
                let place = self.random.index(MAX_POOLS);
                self.try_destroy_pool(place)?;
            }
            172 => drop(allocator.trim()),
            173 => (0..self.random.size(9)).for_each(|_| allocator.tick()),
            174 => self.prewarm()?,
            175 => drop(allocator.update_budget()),
            176..178 => self.look()?,
            _ => {
                if let Some(upsets) = &self.ground.upsets {
                    upsets.strike(&mut self.random);
                }
            }
        }
        Ok(())
    }

    fn make(&mut self, order: &Order) -> Result<(), String> {
        self.made += 1;
        let name = self.made << 3 | self.number;
        let wish = Wish::draw(&mut self.random, order, &self.pools, name);
        let before = self.counters_and_pool(wish.pool);
        match order.make(self.ground.allocator, &wish.info(&self.pools)) {
            Ok((shape, memory)) => {
                self.tally.allocations += 1;
                let pattern = pattern::word(name);
                self.keep(Thing { shape, memory, pattern, known: 0, name: wish.name, pool: wish.pool }, wish.intent)
            }
            Err(error) if wish.may_fail_with(&error, self.ground.upsets.is_some()) => self.refused(before, wish.pool),
            Err(error) => Err(format!("{order:?} with {wish:?} is refused: {error}")),
        }
    }

    fn keep(&mut self, mut thing: Thing, intent: Intent) -> Result<(), String> {
        let granularity = self.ground.allocator.properties().buffer_image_granularity;
        lock(&self.ground.shadow).enter(&thing.memory, granularity)?;
        if intent.needs_host_access() && thing.memory.mapped_ptr().is_none() {
            return Err(format!("{thing:?} is for {intent}, but the host cannot reach it"));
        }
        let hand = self.hand();
        self.ground.fill(&mut thing, hand)?;
        self.live_bytes += thing.memory.size();
        self.live.push(thing);
        Ok(())
    }

    /// A refusal changes no counter, of what is alive and of what was ever made, and leaves no block more. It may leave
    /// a larger one in the place of the only one that a pool may have and must keep.
    fn refused(&mut self, before: Option<Counted>, place: Option<usize>) -> Result<(), String> {
        self.tally.refusals += 1;
        let Some((before, after)) = before.zip(self.counters_and_pool(place)) else { return Ok(()) };
        let of = |counters: &PoolStatistics| {
            let PoolStatistics { allocation_count, allocation_bytes, allocated_count, dedicated_bytes, .. } = *counters;
            (allocation_count, allocation_bytes, allocated_count, dedicated_bytes)
        };
        let exchanged = match (before.1, after.1) {
            (Some(one), Some(other)) if one.block_count == 1 && other.block_count == 1 => {
                other.block_bytes.saturating_sub(one.block_bytes)
            }
            _ => 0,
        };
        let (before, after) = (before.0, after.0);
        let is_no_more = after.block_bytes <= before.block_bytes + exchanged && after.block_count <= before.block_count;
        if of(&before) == of(&after) && is_no_more {
            return Ok(());
        }
        Err(format!("a refusal changed counters: {before:?} before, {after:?} after"))
    }

    /// Returns the counters where no other thread changes them.
    fn counters(&self) -> Option<PoolStatistics> {
        self.ground.is_alone.then(|| self.ground.allocator.statistics().total)
    }

    /// Returns the same, and those of a custom pool that has just one block at any time.
    fn counters_and_pool(&self, place: Option<usize>) -> Option<Counted> {
        let pool = place.filter(|&place| self.are_single[place]).and_then(|place| self.pools[place].as_ref());
        let total = self.counters()?;
        Some((total, pool.and_then(|pool| self.ground.allocator.pool_statistics(pool))))
    }

    fn free(&mut self) -> Result<(), String> {
        if self.live.is_empty() {
            return Ok(());
        }
        let thing = self.live.swap_remove(self.random.index(self.live.len()));
        self.live_bytes -= thing.memory.size();
        let hand = self.hand();
        self.note_checked(self.ground.check(&thing, hand)?);
        self.ground.destroy(thing)
    }

    /// Frees all but one in a few, so that blocks become empty.
    fn free_most(&mut self) -> Result<(), String> {
        let kept = self.live.len() / usize::try_from(2 + self.random.below(6)).unwrap_or(2);
        while self.live.len() > kept {
            self.free()?;
        }
        Ok(())
    }

    /// Gives a thing other contents.
    fn rewrite(&mut self) -> Result<(), String> {
        let hand = self.hand();
        self.made += 1;
        let word = pattern::word(self.made << 3 | self.number);
        if let Some(place) = self.any_live() {
            self.live[place].pattern = word;
            self.ground.fill(&mut self.live[place], hand)?;
        }
        Ok(())
    }

    fn check_one(&mut self) -> Result<(), String> {
        let hand = self.hand();
        if let Some(place) = self.any_live() {
            self.note_checked(self.ground.check(&self.live[place], hand)?);
        }
        Ok(())
    }

    /// Asks what would happen: nothing may.
    fn plan(&mut self) -> Result<(), String> {
        let Order::Memory(requirements) = Order::memory(&mut self.random) else { return Ok(()) };
        let order = Order::Memory(requirements);
        let wish = Wish::draw(&mut self.random, &order, &self.pools, 0);
        let before = self.counters();
        let planned = self.ground.allocator.plan(&requirements, &wish.info(&self.pools));
        if before != self.counters() {
            return Err(format!("a plan changed counters: {before:?} before, {:?} after", self.counters()));
        }
        match planned {
            Err(error) if !wish.may_fail_with(&error, self.ground.upsets.is_some()) => {
                Err(format!("the plan of {order:?} with {wish:?} is refused: {error}"))
            }
            _ => Ok(()),
        }
    }

    fn create_pool(&mut self) -> Result<(), String> {
        let (info, is_single) = pool_info(&mut self.random);
        let Some(place) = self.pools.iter().position(Option::is_none) else { return Ok(()) };
        match self.ground.allocator.create_pool(&info) {
            Ok(pool) => {
                self.pools[place] = Some(pool);
                self.are_single[place] = is_single;
                Ok(())
            }
            Err(CreatePoolError::Allocation(_)) if self.ground.upsets.is_some() => Ok(()),
            Err(error) => Err(format!("{info:?} is refused: {error}")),
        }
    }

    /// Destroys a pool, or hears how many of it live.
    fn try_destroy_pool(&mut self, place: usize) -> Result<(), String> {
        let live = self.live.iter().filter(|thing| thing.pool == Some(place)).count() as u64;
        if live == 0 {
            return self.destroy_pool(place);
        }
        let Some(pool) = self.pools[place].take() else { return Ok(()) };
        match self.ground.allocator.destroy_pool(pool) {
            Err(error) if error.reason == (DestroyPoolReason::InUse { count: live }) => {
                self.pools[place] = Some(error.pool);
                Ok(())
            }
            other => Err(format!("a pool of {live} allocations is to be destroyed: {other:?}")),
        }
    }

    fn destroy_pool(&mut self, place: usize) -> Result<(), String> {
        let Some(pool) = self.pools[place].take() else { return Ok(()) };
        self.ground.allocator.destroy_pool(pool).map_err(|error| format!("an idle pool cannot be destroyed: {error}"))
    }

    fn prewarm(&mut self) -> Result<(), String> {
        let intent = self.random.pick(&[Intent::GpuOnly, Intent::Upload, Intent::Stream, Intent::Readback]);
        let bytes = (1 << 20) + self.random.size(22);
        match self.ground.allocator.prewarm(intent, bytes) {
            Ok(_) => Ok(()),
            Err(AllocationError::OutOfMemory { .. } | AllocationError::Driver { .. })
                if self.ground.upsets.is_some() =>
            {
                Ok(())
            }
            Err(error) => Err(format!("{bytes} bytes for {intent} cannot be prewarmed: {error}")),
        }
    }

    /// Looks at every invariant, and at the books where they are nobody else's.
    fn look(&self) -> Result<(), String> {
        if self.ground.is_alone {
            return audit(self.ground.allocator, self.ground.counter, self.live_count());
        }
        self.ground.allocator.validate()
    }

    fn any_live(&mut self) -> Option<usize> {
        (!self.live.is_empty()).then(|| self.random.index(self.live.len()))
    }

    fn hand(&mut self) -> Hand {
        self.random.pick(&[Hand::Host, Hand::Device])
    }

    fn note_checked(&mut self, bytes: u64) {
        self.tally.checks += u64::from(bytes > 0);
        self.tally.checked_bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use freestone::{Intent, PoolCreateInfo};

    use super::super::sight_tests::on_ground;
    use super::{MAX_POOLS, Worker};

    #[test]
    fn memory_that_a_refusal_leaves_is_seen_but_for_the_only_block_of_a_pool() {
        on_ground(|ground| {
            let mut worker = Worker::new(ground, 1, 0);
            let make = |bytes| {
                let info = PoolCreateInfo::for_intent(Intent::GpuOnly).block_size(bytes);
                ground.allocator.create_pool(&info.min_block_count(1)).expect("there is room for it")
            };
            worker.pools[0] = Some(make(1 << 20));
            // Whom was asked, whether it is a pool of one block, and whether a larger one in the place of the first is
            // seen.
            for (asked, is_single, is_seen) in
                [(Some(0), true, false), (Some(0), false, true), (None, true, true), (Some(1), true, true)]
            {
                worker.are_single = [is_single; MAX_POOLS];
                worker.destroy_pool(0).expect("nothing of it is alive");
                worker.pools[0] = Some(make(1 << 20));
                let before = worker.counters_and_pool(asked);
                worker.destroy_pool(0).expect("nothing of it is alive");
                worker.pools[0] = Some(make(2 << 20));
                assert_eq!(worker.refused(before, asked).is_err(), is_seen, "{asked:?}, {is_single}");
            }
            let before = worker.counters_and_pool(Some(1));
            worker.pools[1] = Some(make(1 << 20));
            assert!(worker.refused(before, Some(1)).is_err(), "a first block takes nobody's place");
            let before = worker.counters_and_pool(Some(1));
            worker.destroy_pool(0).expect("nothing of it is alive");
            worker.destroy_pool(1).expect("nothing of it is alive");
            worker.pools[1] = Some(make(8 << 20));
            assert!(worker.refused(before, Some(0)).is_err(), "another pool's block is no exchange");
            worker.finish().expect("nothing of the pools is alive");
        });
    }
}
