//! The input of the target `round_trip`: something that one side encodes and the other one decodes.

use std::num::NonZeroU32;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use pulsewire_protocol::{
    Admission, Class, CloseFrame, CloseReason, Closed, Event, Flags, Header, Hello, Instant, Kind, Message, Operation,
    Outcome, Recorder, RejectReason, Retry, Role, Seed,
};

use crate::packets::{hello_packet, packet};
use crate::pieces::{hello, pattern, reject as reject_payload};
use crate::watched::{PEER_KEY, config};

const KEY: u32 = 0x5EED_F00D;

/// Takes something round: a tag, and its fields, all little-endian.
///
/// # Errors
/// The input ended within a field.
///
/// # Panics
/// If it does not come back as it went.
pub fn run_round_trip(u: &mut Unstructured<'_>) -> Result<()> {
    match u.arbitrary::<u8>()? % 8 {
        0 => header(u),
        1 => hello_fields(u),
        2 => hello_bytes(u),
        3 => message(u),
        4 => close(u),
        5 => refusal(u),
        6 => reject(u),
        _ => numbers(u),
    }
}

/// A server whose handshake is complete: its peer has `KEY` and takes frames of 512 bytes.
fn sender(resync: bool) -> Recorder {
    greeted(PEER_KEY, KEY, resync)
}

/// The peer of [`sender`].
fn receiver(resync: bool) -> Recorder {
    greeted(KEY, PEER_KEY, resync)
}

/// Both sides announce RESYNC, or neither does.
fn greeted(key: u32, peer_key: u32, resync: bool) -> Recorder {
    let mut recorder = server(key, resync, Admission::Automatic);
    receive(&mut recorder, &hello_packet(Kind::HELLO, &hello(peer_key, resync)));
    transmit(&mut recorder);
    recorder
}

fn server(key: u32, resync: bool, admission: Admission) -> Recorder {
    let config = pulsewire_protocol::Config { admission, ..config(resync) }.validate().expect("valid");
    Recorder::new(Instant::ZERO, Role::Server, &config, seed(key))
}

fn seed(key: u32) -> Seed {
    let [a, b, c, d] = key.to_be_bytes();
    Seed::from_bytes([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 1])
}

fn receive(recorder: &mut Recorder, bytes: &[u8]) -> Outcome {
    recorder.apply(Instant::ZERO, Operation::Received(Bytes::copy_from_slice(bytes)))
}

/// All that waits, taken by the transport.
fn transmit(recorder: &mut Recorder) -> Vec<u8> {
    let mut all = Vec::new();
    while recorder.connection().has_transmit() {
        let bytes = recorder.apply(Instant::ZERO, Operation::PollTransmit { max: 65_536 }).bytes;
        recorder.apply(Instant::ZERO, Operation::Transmitted(bytes.len()));
        all.extend(bytes);
    }
    all
}

/// What a connection writes when this is done to it.
fn written(mut recorder: Recorder, operation: Operation) -> Vec<u8> {
    recorder.apply(Instant::ZERO, operation);
    transmit(&mut recorder)
}

/// Any header is read as it was written, with its own key alone.
fn header(u: &mut Unstructured<'_>) -> Result<()> {
    let (kind, flags, class) = (Kind(u.arbitrary()?), Flags(u.arbitrary()?), Class(u.arbitrary()?));
    let (length, key, other) = (u.arbitrary::<u32>()? & 0xFF_FFFF, u.arbitrary()?, u.arbitrary::<u32>()?);
    let header = Header { kind, flags, class, length };
    let bytes = header.encode(key);
    let read = Header::verify(&bytes, key).expect("its own key");
    assert_eq!(read, header);
    assert_eq!(read.encode(key), bytes);
    assert_eq!(Header::verify(&bytes, other).is_some(), other == key);
    Ok(())
}

fn hello_fields(u: &mut Unstructured<'_>) -> Result<()> {
    let lowest = u.arbitrary::<u8>()?.max(1);
    let frame_limit = 512 + u.arbitrary::<u32>()? % (0xFF_FFFF - 511);
    let hello = Hello {
        version_lowest: lowest,
        version_highest: u.arbitrary::<u8>()?.max(lowest),
        sync_key: NonZeroU32::new(u.arbitrary()?).unwrap_or(NonZeroU32::MIN),
        frame_limit,
        message_limit: frame_limit.saturating_add(u.arbitrary()?),
        ping_floor: Duration::from_millis(1 + u64::from(u.arbitrary::<u16>()?) % 60_000),
        resync: u.arbitrary()?,
        token: if u.arbitrary()? { Some(rest(u, 2_048)?.into()) } else { None },
    };
    let mut payload = Vec::new();
    hello.encode(&mut payload);
    let read = Hello::decode(Kind::HELLO, &payload).expect("a valid HELLO");
    assert_eq!(read, hello);
    let mut again = Vec::new();
    read.encode(&mut again);
    assert_eq!(again, payload);
    Ok(())
}

/// Whatever can be read is read again as the same when it is written in this crate's own way.
fn hello_bytes(u: &mut Unstructured<'_>) -> Result<()> {
    let kind = if u.arbitrary()? { Kind::HELLO } else { Kind::HELLO_ACK };
    if let Ok(hello) = Hello::decode(kind, &rest(u, 4_096)?) {
        let mut payload = Vec::new();
        hello.encode(&mut payload);
        assert_eq!(Hello::decode(kind, &payload), Ok(hello));
    }
    Ok(())
}

/// In one frame, or in many.
fn message(u: &mut Unstructured<'_>) -> Result<()> {
    let (class, encrypted, resync) = (u.arbitrary::<u8>()?, u.arbitrary()?, u.arbitrary()?);
    let class = Class(if Class(class).is_reserved() { class % 5 } else { class });
    let copies = usize::from(u.arbitrary::<u8>()?) + 1;
    let mut payload = rest(u, 2_000)?.repeat(copies);
    payload.truncate(20_000);
    let message = Message { class, encrypted, payload: payload.into() };
    let bytes = written(sender(resync), Operation::Send(message.clone()));
    let outcome = receive(&mut receiver(resync), &bytes);
    assert_eq!(outcome.fault, None);
    let [Event::Message(read)] = &outcome.events[..] else { panic!("one message became {:?}", outcome.events) };
    assert_eq!(*read, message);
    assert_eq!(written(sender(resync), Operation::Send(read.clone())), bytes);
    Ok(())
}

fn close(u: &mut Unstructured<'_>) -> Result<()> {
    let said = close_frame(u)?;
    let bytes = written(sender(false), Operation::Close(said.clone()));
    let outcome = receive(&mut receiver(false), &bytes);
    let read = match &outcome.events[..] {
        [Event::Closing(read)] => (**read).clone(),
        [Event::Closed(closed)] => heard(closed),
        others => panic!("CLOSE became {others:?}"),
    };
    check_close(&said, CloseReason::NORMAL, &read);
    assert_eq!(written(sender(false), Operation::Close(read)), bytes);
    Ok(())
}

/// CLOSE in place of HELLO_ACK.
fn refusal(u: &mut Unstructured<'_>) -> Result<()> {
    let said = close_frame(u)?;
    let refuse = |said: CloseFrame| {
        let mut server = server(PEER_KEY, false, Admission::Ask);
        receive(&mut server, &hello_packet(Kind::HELLO, &hello(KEY, false)));
        written(server, Operation::Refuse(said))
    };
    let bytes = refuse(said.clone());
    let config = config(false).validate().expect("valid");
    let mut client = Recorder::new(Instant::ZERO, Role::Client, &config, seed(KEY));
    transmit(&mut client);
    let outcome = receive(&mut client, &bytes);
    let [Event::Closed(closed)] = &outcome.events[..] else { panic!("a refusal became {:?}", outcome.events) };
    check_close(&said, CloseReason::REFUSED, &heard(closed));
    assert_eq!(refuse(heard(closed)), bytes);
    Ok(())
}

fn heard(closed: &Closed) -> CloseFrame {
    CloseFrame::from(closed.reason).with_retry(closed.retry).with_text(closed.detail.clone())
}

/// TEXT is cut where CLOSE has no more room; a reason that must not be on the wire is replaced.
fn check_close(said: &CloseFrame, replaced: CloseReason, read: &CloseFrame) {
    let reason = if said.reason.is_on_wire() { said.reason } else { replaced };
    assert_eq!((read.reason, read.retry), (reason, said.retry));
    assert!(said.text.starts_with(&read.text), "{said:?} became {read:?}");
    assert!(read.text.len() == said.text.len() || read.text.len() > 494 - 4, "cut too short: {read:?}");
}

fn close_frame(u: &mut Unstructured<'_>) -> Result<CloseFrame> {
    let (reason, retry) = (CloseReason(u.arbitrary()?), u.arbitrary::<u32>()?);
    let retry = if retry == u32::MAX { Retry::Never } else { Retry::After(Duration::from_millis(retry.into())) };
    let text = String::from_utf8_lossy(&rest(u, 600)?).into_owned();
    Ok(CloseFrame::from(reason).with_retry(retry).with_text(text))
}

/// REJECT of any reason, and one that a connection sends for a message that is too large (PW-REJ-002, PW-REJ-007).
fn reject(u: &mut Unstructured<'_>) -> Result<()> {
    let (before, reason) = (u64::from(u.arbitrary::<u8>()? % 8), RejectReason(u.arbitrary()?));
    let [mut sender, mut other] = [sender(false), sender(false)];
    let mut receiver = receiver(false);
    // One of another class is not counted with them.
    for sender in [&mut sender, &mut other] {
        sender.apply(Instant::ZERO, Operation::Send(Message::new(Class::BUSINESS, b"not counted")));
        receive(&mut receiver, &transmit(sender)[..]);
    }
    let mut bytes = Vec::new();
    for sender in [&mut sender, &mut other] {
        for _ in 0..=before {
            sender.apply(Instant::ZERO, Operation::Send(Message::new(Class::ROOM, b"counted")));
        }
        bytes = transmit(sender);
    }
    let whole = bytes.len() / (before as usize + 1) * before as usize;
    receive(&mut receiver, &bytes[..whole]);
    // Three frames of 8,000 bytes exceed the limit of 20,000 with the last.
    for flags in [Flags::FIRST | Flags::MORE, Flags::MORE, Flags::MORE] {
        receive(&mut receiver, &packet(Kind::DATA, flags, Class::ROOM.0, &pattern(8_000), KEY));
    }
    let refused = transmit(&mut receiver);
    check_rejected(&receive(&mut sender, &refused), before + 1, RejectReason::TOO_LARGE);

    let payload = reject_payload(before + 1, reason.0, Class::ROOM.0);
    let bytes = packet(Kind::REJECT, Flags::NONE, 0, &payload, PEER_KEY);
    check_rejected(&receive(&mut other, &bytes), before + 1, reason);
    if reason == RejectReason::TOO_LARGE {
        assert_eq!(bytes, refused);
    }
    // No message is refused twice (PW-REJ-008).
    for sender in [&mut sender, &mut other] {
        let fault = receive(sender, &bytes).fault.expect("refused again");
        assert_eq!(fault.close_reason(), CloseReason::BAD_COUNT);
    }
    Ok(())
}

fn check_rejected(outcome: &Outcome, ordinal: u64, reason: RejectReason) {
    let [Event::Rejected(rejected)] = &outcome.events[..] else { panic!("REJECT became {outcome:?}") };
    let told = (rejected.class, rejected.ordinal.map(u64::from), rejected.reason);
    assert_eq!(told, (Class::ROOM, Some(ordinal), reason));
}

/// DRAIN, BUSY, PING and PONG.
fn numbers(u: &mut Unstructured<'_>) -> Result<()> {
    let (messages, number) = (u64::from(u.arbitrary::<u8>()? % 8), u.arbitrary::<u64>()?.max(1));
    let (mut sender, mut receiver) = (sender(false), receiver(false));
    for _ in 0..messages {
        sender.apply(Instant::ZERO, Operation::Send(Message::new(Class::ROOM, b"counted")));
    }
    receive(&mut receiver, &transmit(&mut sender));
    receiver.apply(Instant::ZERO, Operation::Drain);
    let drained = receive(&mut sender, &transmit(&mut receiver));
    assert_eq!(drained.events, [Event::Draining { received: messages }]);

    receiver.apply(Instant::ZERO, Operation::Pause);
    receive(&mut sender, &transmit(&mut receiver));
    assert_eq!(sender.connection().statistics().peer_pauses, 1);

    receive(&mut sender, &packet(Kind::PING, Flags::NONE, 0, &number.to_be_bytes(), PEER_KEY));
    assert_eq!(transmit(&mut sender), packet(Kind::PONG, Flags::NONE, 0, &number.to_be_bytes(), KEY));
    Ok(())
}

/// The rest of the input, at most so many bytes of it.
fn rest(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<u8>> {
    let count = u.len().min(most);
    u.bytes(count).map(<[u8]>::to_vec)
}
