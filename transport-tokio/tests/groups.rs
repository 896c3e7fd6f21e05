//! Groups: everybody gets everything in the same order, and nobody waits for somebody slow.

use std::time::Duration;

use crate::support::{bounded, ms, next_message, pair, until_closed};
use pulsewire_transport_tokio::protocol::{Class, CloseReason, Config, Event, Message, SendRefused};
use pulsewire_transport_tokio::{Connection, Dissolved, Group, GroupConfig, Missed, SlowMember};

/// What a member's stream and send queue take: a few messages of 1,000 bytes.
const STREAM: usize = 2_000;
const LARGE: usize = 1_000;

fn narrow() -> Config {
    let mut config = Config::default();
    config.limits.send_queue = 3_000;
    config
}

fn group(slow_member: SlowMember, time_to_live: Option<Duration>) -> Group {
    Group::new(GroupConfig { slow_member, time_to_live })
}

/// A message that is told from others by its number.
fn numbered(class: u8, number: u32) -> Message<'static> {
    let mut payload = vec![0; LARGE];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    Message::new(Class(class), payload)
}

fn number(message: &Message<'_>) -> u32 {
    u32::from_be_bytes(message.payload[..4].try_into().unwrap())
}

/// The side that sends, which somebody receives from, and the other.
async fn member(group: &Group) -> Connection {
    let (mut near, far) = pair(narrow(), STREAM).await;
    assert_eq!(group.join(&near.sender()), Ok(true));
    tokio::spawn(async move { while near.recv().await.is_some() {} });
    far
}

/// Sends until a member misses a message, and gives how many it did not.
async fn fill(group: &Group) -> u32 {
    for sent in 0.. {
        if group.send(numbered(1, sent)).await.sent == 0 {
            return sent;
        }
    }
    unreachable!("a member that reads nothing takes everything")
}

#[tokio::test]
async fn all_members_get_all_messages_in_the_same_order() {
    const EACH: u32 = 300;
    bounded(async {
        let group = group(SlowMember::DropOldest { bytes: usize::MAX }, None);
        let mut members = Vec::new();
        for _ in 0..40 {
            members.push(member(&group).await);
        }
        for from in 0..2 {
            let group = group.clone();
            tokio::spawn(async move {
                for count in 0..EACH {
                    group.send(numbered(1, from * EACH + count)).await;
                }
            });
        }
        let receiving = members.into_iter().map(|mut far| {
            tokio::spawn(async move {
                let mut got = Vec::new();
                while got.len() < 2 * EACH as usize {
                    got.push(number(&next_message(&mut far).await));
                }
                got
            })
        });
        let mut orders = Vec::new();
        for receiving in receiving {
            orders.push(receiving.await.unwrap());
        }
        assert!(orders.iter().all(|order| *order == orders[0]));
        orders[0].sort_unstable();
        assert!(orders[0].iter().copied().eq(0..2 * EACH));
    })
    .await;
}

#[tokio::test]
async fn nobody_waits_for_a_member_that_reads_nothing() {
    bounded(async {
        let group = group(SlowMember::Refuse, None);
        let slow = member(&group).await;
        let mut quick = member(&group).await;
        let mut missed = 0;
        for count in 0..200 {
            let delivery = group.send(numbered(1, count)).await;
            assert!(delivery.missed.iter().all(|(_, why)| *why == Missed::Slow));
            missed += delivery.missed.len();
            assert_eq!(number(&next_message(&mut quick).await), count);
        }
        assert!(missed > 150, "{missed}");
        assert_eq!(group.statistics().refused, missed as u64);
        drop(slow);
    })
    .await;
}

#[tokio::test]
async fn a_slow_member_is_closed() {
    bounded(async {
        let group = group(SlowMember::Close, None);
        let mut far = member(&group).await;
        let sent = fill(&group).await;
        assert_eq!(group.members(), []);
        let (messages, closed) = until_closed(&mut far).await;
        assert_eq!(messages.len(), sent as usize);
        assert_eq!(closed.reason, CloseReason::OVERLOADED);
    })
    .await;
}

#[tokio::test]
async fn the_newest_reaches_a_slow_member_when_it_reads_again() {
    bounded(async {
        let group = group(SlowMember::KeepNewest, None);
        let mut far = member(&group).await;
        let sent = fill(&group).await;
        for count in sent + 1..500 {
            group.send(numbered(1, count)).await;
        }
        let mut got = Vec::new();
        while got.last() != Some(&499) {
            got.push(number(&next_message(&mut far).await));
        }
        assert!(got.is_sorted());
        // What the connection had accepted, the one that waited for room, and the newest.
        assert!(got.len() <= sent as usize + 2, "{got:?}");
        // It has caught up.
        assert_eq!(group.send(numbered(1, 500)).await.sent, 1);
    })
    .await;
}

/// What waits takes turns with others that wait for room to send to that connection.
#[tokio::test]
async fn what_waits_is_sent_beside_others() {
    bounded(async {
        let group = group(SlowMember::DropOldest { bytes: usize::MAX }, None);
        let (mut near, mut far) = pair(narrow(), STREAM).await;
        let (sender, other) = (near.sender(), near.sender());
        group.join(&sender).unwrap();
        tokio::spawn(async move { while near.recv().await.is_some() {} });
        fill(&group).await;
        tokio::spawn(async move { while other.send(numbered(1, u32::MAX)).await.is_ok() {} });
        for count in 0..100 {
            group.send(numbered(1, count)).await;
        }
        let mut others = 0;
        loop {
            match number(&next_message(&mut far).await) {
                99 => break,
                u32::MAX => others += 1,
                _ => {}
            }
        }
        assert!((20..=200).contains(&others), "{others}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_too_long_is_dropped() {
    bounded(async {
        let group = group(SlowMember::DropOldest { bytes: usize::MAX }, Some(ms(50)));
        let mut far = member(&group).await;
        let sent = fill(&group).await;
        for count in sent + 1..sent + 20 {
            group.send(numbered(1, count)).await;
        }
        tokio::time::sleep(ms(100)).await;
        let mut got = vec![number(&next_message(&mut far).await)];
        while got.len() < sent as usize {
            got.push(number(&next_message(&mut far).await));
        }
        group.send(numbered(1, 1_000)).await;
        while got.last() != Some(&1_000) {
            got.push(number(&next_message(&mut far).await));
        }
        assert!(got.iter().filter(|number| (sent..1_000).contains(number)).count() <= 1, "{got:?}");
        assert!(group.statistics().expired >= 18);
    })
    .await;
}

#[tokio::test]
async fn whose_connection_is_over_is_no_member_and_nobody_joins_a_dissolved_group() {
    bounded(async {
        let group = group(SlowMember::Refuse, None);
        let (mut near, mut far) = pair(narrow(), STREAM).await;
        let sender = near.sender();
        assert_eq!((group.join(&sender), group.join(&sender)), (Ok(true), Ok(false)));
        assert!(group.contains(sender.id()));
        far.close(CloseReason::NORMAL);
        tokio::spawn(async move { until_closed(&mut far).await });
        while !matches!(near.recv().await, Some(Event::Closed(_))) {}
        let delivery = group.send(numbered(1, 0)).await;
        let reason = SendRefused::Closed(CloseReason::NORMAL);
        assert_eq!(delivery.missed, [(sender.id(), Missed::Refused(reason))]);
        assert_eq!(group.members(), []);

        let (near, _far) = pair(narrow(), STREAM).await;
        group.join(&near.sender()).unwrap();
        assert_eq!(group.dissolve().iter().map(|member| member.id()).collect::<Vec<_>>(), [near.id()]);
        assert_eq!(group.join(&near.sender()), Err(Dissolved));
        assert!(!group.leave(near.id()));
    })
    .await;
}
