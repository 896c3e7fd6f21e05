//! Disorder on hosts where nothing is reliable: calls and operations fail with every error that there is, waits fail, operations are kept
//! back, wakes find no memory, and other threads command while a turn is under way. Small, so that it can be run over many seeds.

use super::disorder::{Numbers, assert_no_stranger, disturb, read_stamp, stamp};
use super::shortages::codes;
use super::*;
use crate::fake_port::{CALL_ERRORS, OPERATION_ERRORS, Stuck, Troubles};
use pulsewire_protocol::{Connection, Statistics};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::Receiver;

/// What all connections of a side may hold together, in bytes.
const LIMIT: usize = 64 << 10;

/// What one turn may bring beyond the limit, since it is looked at once per turn; and what those take who are told that there is no room.
const SLACK: usize = 640 << 10;

/// Commands that were given while the client waited: when, and the answer to come.
type Asked = Rc<RefCell<Vec<(Duration, Receiver<io::Result<Option<Statistics>>>)>>>;

struct Storm {
    world: World,
    random: Random,
    sent: Numbers,
    asked: Asked,
    stuck: Stuck,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let limits = || ServerLimits { buffered: LIMIT, ..ServerLimits::default() };
        let network = FakeNetwork::new(seed);
        let side = |domain| {
            let options = SocketOptions {
                send_buffer: Some(LIMIT as u32),
                largest_send: 4 << 10,
                send_ahead: [0, 16 << 10][(seed / 3 % 2) as usize],
                skip_on_success: NonZeroU32::new((seed % 3) as u32),
                ..SocketOptions::default()
            };
            limited(network.port(), domain, config(), options, with_limits(limits()), Recorder::default())
        };
        let (client, mut server) = (side(1), side(2));
        let address = server.listen(ANYWHERE).expect("nothing fails yet");
        server.post_accepts();
        let world = World { network, client, server, address };
        let mut random = Random::new(!seed);
        let stuck = [Stuck::Never, Stuck::Never, Stuck::UntilClosed, Stuck::ForEver][random.up_to(4) - 1];
        let mut storm = Self { world, random, sent: Numbers::new(), asked: Asked::default(), stuck };
        storm.break_out(seed);
        storm
    }

    /// Each seed has one error of calls that comes often, and all others now and then.
    fn break_out(&mut self, seed: u64) {
        let often = CALL_ERRORS[seed as usize % CALL_ERRORS.len()];
        let mut calls = codes(&CALL_ERRORS);
        calls.resize(2 * CALL_ERRORS.len(), SystemError::from_code(often));
        let operations = OPERATION_ERRORS.map(|(status, code)| SystemError::from_status(status, code)).to_vec();
        let one_in = [10, 40, 200][self.random.up_to(3) - 1];
        let network = &self.world.network;
        network.make_trouble(Some(Troubles { calls, operations, waits: codes(&[8, 1450, 10055]), one_in }));
        network.hold_cancelled(self.stuck);
        if self.random.flip() {
            network.move_bytes_whole();
        }
        let (inbox, asked, mut random) =
            (Arc::clone(&self.world.client.inbox), Rc::clone(&self.asked), Random::new(seed));
        network.meanwhile(move |now| {
            if random.up_to(4) == 1 {
                let (answer, answered) = sync_channel(1);
                let id = ConnectionId::new(0, 1, std::num::NonZeroU64::MIN);
                inbox.push(Command::Statistics { id, answer });
                asked.borrow_mut().push((now, answered));
            }
        });
    }

    fn strike(&mut self) {
        match self.random.up_to(20) {
            1 => self.world.network.fail_wakes(true),
            2..=4 => self.world.network.fail_wakes(false),
            _ => disturb(&mut self.world, &mut self.random, &mut self.sent),
        }
        for _ in 0..self.random.up_to(4) {
            self.turn();
        }
    }

    /// One turn of each side, behind which all that was commanded is done, and all bounds hold.
    fn turn(&mut self) {
        for side in self.world.sides() {
            side.turn(Some(Duration::ZERO)).unwrap();
            let held = side.inbox.budget.used();
            assert!(held <= LIMIT + SLACK, "{held} bytes wait in the mailboxes and connections");
            assert_eq!(side.io.outstanding, side.io.port.outstanding());
            let (lent, operations) = (side.io.buffers.lent(), side.io.outstanding);
            assert!(lent <= operations + side.table.len(), "{lent} buffers for {operations} operations");
        }
        let now = self.world.now();
        // The client took its turn first: what came while the server waited is for its next one.
        let world = &mut self.world;
        world.client.turn(Some(Duration::ZERO)).unwrap();
        let mut asked = self.asked.borrow_mut();
        for (when, answered) in asked.drain(..) {
            assert!(answered.try_recv().is_ok(), "asked at {when:?}, not answered by {now:?}");
        }
    }

    /// All is well again, but for connections that pause and cables that are cut.
    fn calm(&mut self) {
        let network = &self.world.network;
        network.make_trouble(None);
        network.fail_wakes(false);
        network.fail_accepts(None);
        network.meanwhile(drop);
        self.turn();
    }

    /// Who does not pause is served soon, though others do.
    fn serve_the_quick(&mut self) {
        let world = &mut self.world;
        world.run_for(config().heartbeat.interval * 2);
        let quick = |side: &Side, id: &ConnectionId| {
            let connection = side.table.get(*id);
            let pauses = |it: &Connection| it.is_paused() || it.peer_pauses_until().is_some();
            connection.is_some_and(|it| it.is_open() && !pauses(it) && it.queued() == 0)
        };
        let mut probes = Vec::new();
        for id in world.client.directory.ids().into_iter().filter(|id| quick(&world.client, id)) {
            let cookie = id.cookie().get();
            let number = self.sent.entry(cookie).or_default();
            if world.client.send(id, stamp(cookie, *number, 0)).is_ok() {
                probes.push((id, *number));
                *number += 1;
            }
        }
        let before = world.now();
        world.run_until(|world| {
            let served = |(id, number): &(ConnectionId, u64)| {
                let came = world.server.handler.messages.iter().rev();
                let is_over = world.client.table.get(*id).is_none_or(|it| !it.is_open());
                is_over || came.map(|(_, it)| read_stamp(&it.payload)).any(|it| it == (id.cookie().get(), *number))
            };
            probes.iter().all(served)
        });
        // Those whose cable was cut are found to be gone.
        let most = config().heartbeat.bound() * 2;
        assert!(world.now() - before <= most, "after {:?}", world.now() - before);
    }

    fn end(mut self) {
        for side in self.world.sides() {
            side.inbox.push(Command::ShutDown { drain: Duration::ZERO, patience: Duration::from_secs(60) });
        }
        self.world.run_until(|world| world.client.in_order().is_some() && world.server.in_order().is_some());
        assert_no_stranger(&self.world.server.handler.messages);
        for side in self.world.sides() {
            assert!(side.directory.ids().is_empty());
            if self.stuck != Stuck::ForEver {
                side.assert_empty();
            }
        }
    }
}

#[test]
fn in_a_storm_memory_is_bounded_commands_are_obeyed_and_nothing_is_left_behind() {
    for_each_seed(|seed| {
        let mut storm = Storm::new(seed);
        for _ in 0..15 {
            storm.strike();
        }
        storm.calm();
        storm.serve_the_quick();
        storm.end();
    });
}

/// More finishes than one wait gives, again and again: all connections are served alike, and commands too.
#[test]
fn full_batches_of_completions_hold_up_nobody() {
    const CONNECTIONS: usize = 100;
    let mut world = World::new(1, config());
    let ids: Vec<_> = (0..CONNECTIONS).map(|_| world.connect()).collect();
    world.network.move_bytes_whole();
    for round in 1..=5 {
        for &id in &ids {
            world.client.send(id, *b"x").unwrap();
        }
        (0..20).for_each(|_| world.client.turn(Some(Duration::ZERO)).unwrap());
        let (answer, answered) = sync_channel(1);
        world.server.inbox.push(Command::Statistics { id: ids[0], answer });
        let before = world.server.io.port.delivered();
        world.server.turn(Some(Duration::ZERO)).unwrap();
        // The wake may be one of the sixty-four.
        assert!((63..=64).contains(&(world.server.io.port.delivered() - before)), "a full batch");
        answered.try_recv().expect("a command is obeyed in the turn").unwrap();
        (0..8).for_each(|_| world.server.turn(Some(Duration::ZERO)).unwrap());
        assert_eq!(world.server.handler.messages.len(), round * CONNECTIONS);
        world.run_for(Duration::from_millis(10));
    }
}
