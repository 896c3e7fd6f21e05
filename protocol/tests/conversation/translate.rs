//! The words of the conversations, and those of the core.

use std::time::Duration;

use pulsewire_protocol::{
    Admission, Class, CloseFrame, CloseReason, Config, Damage, Disconnect, Event, Message, Origin, Payload, Retry,
};
use pulsewire_spec::vectors::{
    ConversationConfig, ConversationDisconnect, ConversationEvent, ConversationFarewell, ConversationOrigin,
    VectorBytes,
};

use crate::pair::ms;

pub(super) fn config(from: &ConversationConfig) -> Config {
    let mut config = Config::default();
    let heartbeat = &mut config.heartbeat;
    (heartbeat.idle, heartbeat.interval, heartbeat.probes) = (ms(from.idle), ms(from.interval), from.probes);
    heartbeat.extension_max = from.extension_max.map(ms);
    heartbeat.detect_within = from.detect_within.map(ms);
    (heartbeat.ping_floor, heartbeat.busy_max) = (ms(from.ping_floor), ms(from.busy_max));
    (config.limits.frame, config.limits.message) = (from.frame_limit, from.message_limit);
    config.limits.frame_sent = from.frame_sent;
    let timeouts = &mut config.timeouts;
    (timeouts.handshake, timeouts.close) = (ms(from.handshake_timeout), ms(from.close_timeout));
    timeouts.write_stall = ms(from.write_stall);
    (timeouts.assembly_base, timeouts.assembly_rate) = (ms(from.assembly_base), from.assembly_rate);
    config.damage = if from.resync { Damage::Resynchronise } else { Damage::Close };
    config.admission = if from.admission { Admission::Ask } else { Admission::Automatic };
    config.token = from.token.as_ref().map(|token| token.bytes().to_vec().into());
    config
}

pub(super) fn message(class: u8, encrypted: bool, payload: &VectorBytes) -> Message<'static> {
    Message { class: Class(class), encrypted, payload: Payload::from(payload.bytes().to_vec()) }
}

pub(super) fn close_frame(farewell: &ConversationFarewell) -> CloseFrame {
    let retry = match farewell.retry_after {
        u32::MAX => Retry::Never,
        millis => Retry::After(ms(millis.into())),
    };
    let text = farewell.text.clone().unwrap_or_default();
    CloseFrame::from(CloseReason(farewell.reason)).with_retry(retry).with_text(text)
}

pub(super) fn disconnect(how: ConversationDisconnect) -> Disconnect {
    match how {
        ConversationDisconnect::EndOfStream => Disconnect::EndOfStream,
        ConversationDisconnect::Reset => Disconnect::Reset,
        ConversationDisconnect::NetworkLost => Disconnect::NetworkLost,
    }
}

pub(super) fn event(event: &Event<'_>) -> ConversationEvent {
    match event {
        Event::Admission(request) => ConversationEvent::Admission { token: request.token.as_deref().map(bytes) },
        Event::Established(established) => ConversationEvent::Established {
            frame_limit: established.frame_limit,
            message_limit: established.message_limit,
            idle: millis(established.idle),
            interval: millis(established.interval),
            token: established.token.as_deref().map(bytes),
        },
        Event::Message(message) => ConversationEvent::Message {
            class: message.class.0,
            encrypted: message.encrypted,
            payload: bytes(&message.payload),
        },
        Event::Gap(gap) => ConversationEvent::Gap { skipped: gap.skipped, message_lost: gap.message_lost },
        Event::TooLarge(refused) => ConversationEvent::TooLarge {
            class: refused.class.0,
            ordinal: refused.ordinal.map_or(0, Into::into),
            limit: refused.limit.into(),
        },
        Event::Rejected(rejected) => ConversationEvent::Rejected {
            class: rejected.class.0,
            ordinal: rejected.ordinal.map_or(0, Into::into),
            reason: rejected.reason.0,
        },
        Event::Suspect(_) => ConversationEvent::Suspect {},
        Event::Recovered(_) => ConversationEvent::Recovered {},
        Event::Draining { received } => ConversationEvent::Draining { received: *received },
        Event::Closing(said) => ConversationEvent::Closing {
            reason: said.reason.0,
            text: text(&said.text),
            retry_after: retry_after(said.retry),
        },
        Event::Closed(closed) => {
            let by_peer = closed.origin == Origin::Peer;
            ConversationEvent::Closed {
                reason: closed.reason.0,
                origin: match closed.origin {
                    Origin::Local => ConversationOrigin::Local,
                    Origin::Peer => ConversationOrigin::Peer,
                    Origin::Transport => ConversationOrigin::Transport,
                },
                orderly: closed.orderly,
                received: closed.received,
                text: text(&closed.detail).filter(|_| by_peer),
                retry_after: by_peer.then(|| retry_after(closed.retry)),
            }
        }
        other => panic!("{other:?} has no name in the conversations"),
    }
}

fn bytes(from: &[u8]) -> VectorBytes {
    from.to_vec().into()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("a time of a conversation")
}

fn text(sentence: &str) -> Option<String> {
    (!sentence.is_empty()).then(|| sentence.to_owned())
}

fn retry_after(retry: Retry) -> u32 {
    match retry {
        Retry::After(time) => u32::try_from(time.as_millis()).expect("32 bits on the wire"),
        Retry::Never => u32::MAX,
    }
}
