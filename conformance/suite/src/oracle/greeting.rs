//! The handshake's checks (spec section 7).

use std::time::Duration;

use super::fault::Fault;
use super::{Behaviour, Bug};
use crate::codec::registry::{item, reason};
use crate::codec::{Hello, Item, parse_items};

/// The only version that this side knows.
const VERSION: u8 = 1;

impl Behaviour {
    /// What this side announces, with a sync key of its own for this connection.
    pub(super) fn greeting(&self) -> Hello {
        Hello {
            lowest_version: VERSION,
            highest_version: VERSION,
            sync_key: self.sync_key(),
            frame_limit: self.profile.frame_limit,
            message_limit: self.profile.message_limit,
            ping_floor: u32::try_from(self.profile.ping_floor.as_millis()).expect("at most 60,000 ms"),
            resync: self.profile.resync,
        }
    }

    /// The items of what this side announces.
    pub(super) fn items(&self, greeting: &Hello) -> Vec<Item> {
        let mut items = greeting.to_items();
        if self.has(Bug::AnnouncesUndefined) {
            items.retain(|entry| entry.id != item::FEATURES);
            items.push(Item::features(0x8000_0000));
        }
        items
    }

    /// Reads the peer's HELLO or HELLO_ACK, apart from its versions.
    pub(super) fn read_greeting(&self, payload: &[u8]) -> Result<Hello, Fault> {
        let (mut items, rest) = parse_items(payload);
        let known = |id| matches!(id, item::VERSIONS..=item::FEATURES | item::TOKEN);
        if self.has(Bug::AcceptsUnknownItem) {
            items.retain(|entry| known(entry.id));
        }
        if self.has(Bug::RejectsIgnorableItem) && items.iter().any(|entry| !known(entry.id)) {
            return Err(Fault::new(reason::UNKNOWN_ITEM));
        }
        if self.has(Bug::AcceptsRepeatedItem) {
            let all = items.clone();
            let mut index = 0;
            items.retain(|entry| {
                index += 1;
                all[..index - 1].iter().all(|earlier| earlier.id != entry.id)
            });
        }
        if self.has(Bug::ExpectsItemOrder) && !items.is_sorted_by_key(|entry| entry.id) {
            return Err(Fault::new(reason::BAD_HELLO));
        }
        let is_unshared = |entry: &Item| entry.id == item::VERSIONS && entry.value[..] > [VERSION; 2][..];
        if self.has(Bug::JudgesVersionFirst) && items.iter().any(is_unshared) {
            return Err(Fault::new(reason::UNSUPPORTED_VERSION));
        }
        self.forgive_values(&mut items);
        items.iter_mut().for_each(|entry| self.forgive(entry));
        let announces_limits = items.iter().any(|entry| entry.id == item::LIMITS);
        if self.has(Bug::RejectsUnknownFeature) && items.iter().any(has_unknown_feature) {
            return Err(Fault::new(reason::BAD_HELLO));
        }
        let mut hello = Hello::from_items(&items).map_err(Fault::new)?;
        if self.has(Bug::AssumesOtherLimits) && !announces_limits {
            (hello.frame_limit, hello.message_limit) = ((1 << 24) - 1, u32::MAX);
        }
        if !rest.is_empty() && !self.has(Bug::AcceptsBadItem) {
            return Err(Fault::new(reason::BAD_HELLO));
        }
        Ok(hello)
    }

    /// Puts allowed values in place of others: what bugs make of them.
    fn forgive_values(&self, items: &mut Vec<Item>) {
        let lacks = |items: &[Item], id| items.iter().all(|entry| entry.id != id);
        if self.has(Bug::AcceptsMissingItem) && lacks(items, item::VERSIONS) {
            items.push(Item::versions(VERSION, VERSION));
        }
        if self.has(Bug::AcceptsMissingItem) && lacks(items, item::SYNC_KEY) {
            items.push(Item::sync_key(1));
        }
        for entry in items {
            let allowed = match entry.id {
                item::SYNC_KEY if self.has(Bug::AcceptsZeroSyncKey) => Item::sync_key(1),
                item::VERSIONS if self.has(Bug::AcceptsBackwardVersions) => Item::versions(VERSION, VERSION),
                _ => continue,
            };
            if entry.value.len() == allowed.value.len() && !is_allowed(entry) {
                *entry = allowed;
            }
        }
    }

    /// Puts a value into its range: only a bug does.
    fn forgive(&self, entry: &mut Item) {
        let bug = |bug| self.has(bug);
        match (entry.id, entry.value.as_slice()) {
            (item::VERSIONS, [0, highest]) if *highest > 0 && bug(Bug::AcceptsVersionZero) => {
                *entry = Item::versions(1, *highest);
            }
            (item::PING_FLOOR, &[a, b, c, d]) if bug(Bug::AcceptsAnyPingFloor) => {
                *entry = Item::ping_floor(u32::from_be_bytes([a, b, c, d]).clamp(1, 60_000));
            }
            (item::LIMITS, &[a, b, c, d, ..]) if bug(Bug::AcceptsAnyLimits) => {
                let known = (512..1 << 24).contains(&u32::from_be_bytes([a, b, c, d]));
                *entry = if known { entry.clone() } else { Item::limits(65_536, 16_777_216) };
            }
            _ => {}
        }
    }

    /// The version for a HELLO_ACK (PW-HS-003, PW-HS-004).
    pub(super) fn choose_version(&self, client: &Hello) -> Result<u8, Fault> {
        if self.has(Bug::AnswersHighestOffered) {
            return Ok(client.highest_version);
        }
        let shared = (client.lowest_version..=client.highest_version).contains(&VERSION);
        if shared || self.has(Bug::AcceptsAnyVersion) {
            return Ok(VERSION);
        }
        Err(Fault::new(reason::UNSUPPORTED_VERSION))
    }

    /// PW-HS-015.
    pub(super) fn check_chosen_version(&self, server: &Hello) -> Result<(), Fault> {
        let chosen = server.lowest_version == VERSION && server.highest_version == VERSION;
        if chosen || self.has(Bug::AcceptsAnyChosenVersion) {
            return Ok(());
        }
        Err(Fault::new(reason::UNSUPPORTED_VERSION))
    }

    /// PW-HS-016.
    pub(super) fn compare_timers(&self, peer: &Hello) -> Result<(), Fault> {
        let silence = self.profile.longest_silence_with(Duration::from_millis(peer.ping_floor.into()));
        let by_default = self.profile.detect_within.is_none();
        let any = by_default && self.has(Bug::AnyFloorByDefault) || self.has(Bug::ForgetsDetectWithin);
        let limit = match () {
            () if by_default && self.has(Bug::MinuteByDefault) => Duration::from_secs(60),
            () => self.profile.detection_limit(),
        };
        if silence > limit && !any {
            return Err(Fault::new(reason::INCOMPATIBLE_TIMERS));
        }
        Ok(())
    }
}

/// Whether a HELLO with this item, and no others but those that it needs, can be read.
fn is_allowed(entry: &Item) -> bool {
    let needed = [Item::versions(VERSION, VERSION), Item::sync_key(1)];
    let others = needed.into_iter().filter(|other| other.id != entry.id);
    Hello::from_items(&others.chain([entry.clone()]).collect::<Vec<Item>>()).is_ok()
}

/// Whether FEATURES has a bit that this side does not know.
fn has_unknown_feature(entry: &Item) -> bool {
    let known = [0, item::FEATURE_RESYNC].map(Item::features);
    entry.id == item::FEATURES && !known.contains(entry)
}
