//! Right implementations that differ from the one for which cases are written: with other numbers that they keep, and with habits that the
//! specification allows. No case may hold that against them.
//!
//! FIXED_NUMBERS=COUNT tries every case with so many sets of numbers, from FIXED_SEED on (0 without it), and shows which take more for
//! granted than section 10 does.

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_conformance::oracle::Oracle;
use pulsewire_conformance::subject::{Command, Reply, Running, Subject, SubjectError};
use pulsewire_conformance::{CaseReport, Options, Profile, Role, Selection, Variant, Verdict, cases, run, run_case};

/// An oracle that runs with numbers of its own, whatever a case wants.
struct Fixed {
    oracle: Arc<dyn Subject>,
    profile: Profile,
}

impl Subject for Fixed {
    fn name(&self) -> &str {
        self.oracle.name()
    }

    fn serve(&self, _wanted: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        self.oracle.serve(&self.profile)
    }

    fn connect(&self, _wanted: &Profile, address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        self.oracle.connect(&self.profile, address)
    }

    fn roles(&self) -> &'static [Role] {
        self.oracle.roles()
    }

    fn fixed_profile(&self) -> Option<Profile> {
        Some(self.profile.clone())
    }

    fn seeded(&self, seed: u64) -> Option<Arc<dyn Subject>> {
        Some(Arc::new(Self { oracle: self.oracle.seeded(seed)?, profile: self.profile.clone() }))
    }

    fn in_memory(&self) -> bool {
        true
    }
}

fn whole_writes() -> Options {
    let selection = Selection::new(&[], &[], &[], &["whole".into()]).expect("there is such a chunking");
    // Many cases at once wait for the processors alone.
    Options {
        selection,
        strength: Some(1),
        strict: true,
        jobs: 4,
        watchdog: Duration::from_secs(300),
        ..Options::default()
    }
}

/// A word of a reason, as a manifest has it: `idle = 200`.
fn set(profile: &mut Profile, wish: &str) {
    let (name, number) = wish.split_once(" = ").expect("a name and a number");
    let number: u32 = number.parse().unwrap_or_else(|_| panic!("{wish} is no number"));
    let time = ms(number.into());
    match name {
        "idle" => profile.idle = time,
        "interval" => profile.interval = time,
        "probes" => profile.probes = number,
        "extension_max" => profile.extension_max = Some(time),
        "detect_within" => profile.detect_within = Some(time),
        "ping_floor" => profile.ping_floor = time,
        "frame" => profile.frame_limit = number,
        "message" => profile.message_limit = number,
        "frame_sent" => profile.frame_sent = number,
        "handshake_timeout" => profile.handshake_timeout = time,
        "close_timeout" => profile.close_timeout = time,
        "write_stall" => profile.write_stall = time,
        "linger" => profile.linger = time,
        "assembly_base" => profile.assembly_base = time,
        "assembly_rate" => profile.assembly_rate = number,
        "busy_max" => profile.busy_max = time,
        _ => panic!("{name} is no number of section 10"),
    }
}

#[test]
fn numbers_that_are_said_to_let_a_case_apply_do() {
    let fixed = |profile| Fixed { oracle: Arc::new(Oracle::clean().in_memory()), profile };
    let report = run(&[Arc::new(fixed(Profile::default()))], &whole_writes());
    let mut tried = 0;
    for case in &report.cases {
        let Some(wishes) = case.verdict.reason().strip_suffix(" would let it apply") else { continue };
        let wishes = wishes.rsplit_once("; ").expect("a reason stands before it").1;
        let mut profile = Profile::default();
        wishes.split(", ").for_each(|wish| set(&mut profile, wish));
        let known = cases().find(|known| known.id == case.id).expect("it was run");
        let again = run_case(&(Arc::new(fixed(profile)) as Arc<dyn Subject>), known, case.variant(), &whole_writes());
        assert_eq!(again.verdict, Verdict::Pass, "{} ({wishes})", case.id);
        tried += 1;
    }
    assert!(tried >= 20, "{tried}");
}

/// What was neither passed nor not applicable.
fn complaints(subject: Arc<dyn Subject>, options: &Options) -> Vec<String> {
    let report = run(&[subject], options);
    let is_wrong = |case: &&CaseReport| !matches!(case.verdict, Verdict::Pass | Verdict::NotApplicable(_));
    let told = |case: &CaseReport| format!("{} ({}): {}", case.id, case.role.name(), case.verdict.reason());
    report.cases.iter().filter(is_wrong).map(told).collect()
}

#[test]
fn one_that_pauses_where_it_need_not() {
    let found = complaints(Arc::new(Oracle::clean().in_memory().pausing()), &whole_writes());
    assert!(found.is_empty(), "{found:#?}");
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// One of the values, and what is left of the number that they are drawn from.
fn draw<T: Copy>(from: &mut u64, values: &[T]) -> T {
    *from = from.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    values[(*from >> 33) as usize % values.len()]
}

fn drawn(seed: u64) -> Profile {
    let from = &mut seed.wrapping_mul(2).wrapping_add(1);
    let frame_limit = draw(from, &[512, 4_096, 65_536]);
    Profile {
        idle: ms(draw(from, &[200, 600, 2_000, 5_000])),
        interval: ms(draw(from, &[150, 1_000, 2_000])),
        probes: draw(from, &[1, 2, 3, 5]),
        ping_floor: ms(draw(from, &[1, 10, 1_000])),
        handshake_timeout: ms(draw(from, &[400, 1_000, 10_000])),
        close_timeout: ms(draw(from, &[400, 5_000])),
        write_stall: ms(draw(from, &[1_000, 4_000, 30_000])),
        linger: ms(draw(from, &[100, 2_000])),
        assembly_base: ms(draw(from, &[1_000, 6_000, 10_000])),
        assembly_rate: draw(from, &[1_024, 100_000]),
        busy_max: ms(draw(from, &[0, 300, 4_000, 60_000])),
        frame_limit,
        message_limit: frame_limit * draw(from, &[1, 16, 256]),
        frame_sent: draw(from, &[512, 65_536]),
        resync: draw(from, &[true, false]),
        ..Profile::default()
    }
}

/// Numbers with which packets may take less time than a silence.
fn quick_packets() -> Profile {
    Profile {
        idle: ms(4_000),
        interval: ms(1_000),
        assembly_base: ms(1_000),
        handshake_timeout: ms(1_000),
        close_timeout: ms(1_000),
        write_stall: ms(4_000),
        message_limit: 1 << 20,
        ..Profile::default()
    }
}

fn fails_nothing_with(profile: Profile, selection: Selection) {
    let shown = format!("{profile:?}");
    let oracle = Arc::new(Oracle::clean().in_memory());
    let found = complaints(Arc::new(Fixed { oracle, profile }), &Options { selection, ..whole_writes() });
    assert!(found.is_empty(), "with {shown}: {found:#?}");
}

/// Cases that send parts of packets for longer than a packet may take.
#[test]
fn packets_that_may_take_less_than_a_silence() {
    let selection = Selection::new(&["PW-HB-003".into()], &[], &[], &["whole".into()]).expect("there are such cases");
    fails_nothing_with(quick_packets(), selection);
}

/// Takes minutes for each set of numbers: only as many as FIXED_NUMBERS says, of which the first is [`quick_packets`].
#[test]
fn sets_of_numbers() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse().expect("a number"));
    let (count, first) = (number("FIXED_NUMBERS").unwrap_or(0), number("FIXED_SEED").unwrap_or(0));
    for seed in first..first + count {
        println!("FIXED_SEED={seed}");
        let profile = if seed == 0 { quick_packets() } else { drawn(seed) };
        fails_nothing_with(profile, whole_writes().selection);
    }
}

/// The least limits: no message has a second frame.
fn least_limits() -> Profile {
    Profile {
        idle: ms(500),
        interval: ms(200),
        assembly_base: ms(400),
        assembly_rate: 8_250,
        handshake_timeout: ms(1_000),
        close_timeout: ms(1_000),
        write_stall: ms(400),
        frame_limit: 512,
        message_limit: 512,
        ..Profile::default()
    }
}

/// Limits that are equal, and large.
fn equal_limits() -> Profile {
    Profile { frame_limit: 65_536, message_limit: 65_536, ..quick_packets() }
}

/// Where a message may be open for half a second.
fn quick_messages() -> Profile {
    Profile { message_limit: 4_096, ..least_limits() }
}

#[test]
fn unusual_limits() {
    for profile in [least_limits(), equal_limits(), quick_messages()] {
        fails_nothing_with(profile, Selection::default());
    }
}

/// An implementation on sockets whose application takes its time for each message.
struct SlowSender(Oracle);

impl Subject for SlowSender {
    fn name(&self) -> &str {
        "slow-sender"
    }

    fn serve(&self, wanted: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        Ok(Box::new(Slow(self.0.serve(wanted)?)))
    }

    fn connect(&self, wanted: &Profile, address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        Ok(Box::new(Slow(self.0.connect(wanted, address)?)))
    }
}

struct Slow(Box<dyn Running>);

impl Running for Slow {
    fn address(&self) -> SocketAddr {
        self.0.address()
    }

    #[expect(clippy::disallowed_methods, reason = "its connections, on sockets, go on meanwhile")]
    fn control(&mut self, command: Command) -> Result<Reply, SubjectError> {
        if let Command::Send { .. } = command {
            std::thread::sleep(ms(20));
        }
        self.0.control(command)
    }

    fn stop(self: Box<Self>) {
        self.0.stop();
    }
}

/// Its transport is given up before enough waits, as its own WRITE_STALL wants.
#[test]
fn one_that_queues_more_slowly_than_its_transport_stalls() {
    let case = cases().find(|case| case.id == "PW-HB-020/write-stall-rests-no-longer").expect("a case");
    let subject: Arc<dyn Subject> = Arc::new(SlowSender(Oracle::clean()));
    let report = run_case(&subject, case, Variant::whole(Role::Server), &Options::default());
    assert!(matches!(report.verdict, Verdict::NotApplicable(_)), "{:?}", report.verdict);
}
