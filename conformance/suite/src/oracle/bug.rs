//! What the oracle can be told to do wrong.

/// Makes the enum, its names, and what each bug breaks from one table.
macro_rules! bugs {
    ($($variant:ident, $name:literal, $requirement:literal, $sentence:literal;)+) => {
        /// One way to break one requirement.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Bug {
            $(#[doc = $sentence] $variant,)+
        }

        impl Bug {
            /// Every bug.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable name, such as `no-pong`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The id of the requirement that it breaks.
            #[must_use]
            pub fn requirement(self) -> &'static str {
                match self { $(Self::$variant => $requirement,)+ }
            }

            /// What the oracle does with it.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }

            /// The bug with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|bug| bug.name() == name)
            }
        }
    };
}

bugs! {
    PadsPackets, "pads-packets", "PW-HDR-001", "Sends a byte behind each packet.";
    IgnoresMagic, "ignores-magic", "PW-HDR-002", "Takes any header whose check is right for a packet.";
    ReadsMagicOnly, "reads-magic-only", "PW-HDR-003", "Does not verify the check of a header.";
    JudgesBeforeCheck, "judges-before-check", "PW-HDR-004", "Acts on flags and kind before the check is verified.";
    AcceptsUnknownFlag, "accepts-unknown-flag", "PW-HDR-005", "Ignores flag bits that are not defined.";
    ChecksFlagsOfDataOnly, "checks-flags-of-data-only", "PW-HDR-005", "Ignores flag bits that are not defined on packets other than DATA.";
    AcceptsFlagsOnControl, "accepts-flags-on-control", "PW-HDR-006", "Ignores FIRST, MORE and ENCRYPTED on control packets.";
    NamesWrongReason, "names-wrong-reason", "PW-HDR-007", "Closes with BAD_PACKET whatever the fault is.";
    PassesOverUnknownKind, "passes-over-unknown-kind", "PW-HDR-007", "Passes over an unknown kind below 0x80.";
    FaultEndsAll, "fault-ends-all", "PW-HDR-007", "Ends every connection when one of them closes for a fault.";
    ClosesOnIgnorableKind, "closes-on-ignorable-kind", "PW-HDR-008", "Closes on an unknown kind of 0x80 or above.";
    AcceptsFlagsOnIgnorable, "accepts-flags-on-ignorable", "PW-HDR-009", "Ignores FIRST, MORE and ENCRYPTED on kinds of 0x80 and above.";
    AcceptsClassOnControl, "accepts-class-on-control", "PW-HDR-010", "Ignores the class of control packets.";
    AcceptsClassOnFirst, "accepts-class-on-first", "PW-HDR-010", "Ignores the class of HELLO and HELLO_ACK.";
    AcceptsReservedClass, "accepts-reserved-class", "PW-HDR-011", "Delivers messages of a reserved class.";
    CountsTrailerInLength, "counts-trailer-in-length", "PW-HDR-012", "Takes the trailer for the end of the payload.";
    IgnoresTrailer, "ignores-trailer", "PW-HDR-013", "Does not verify the trailer.";
    IgnoresEmptyTrailer, "ignores-empty-trailer", "PW-HDR-013", "Does not verify the trailer of an empty payload.";
    IgnoresControlTrailer, "ignores-control-trailer", "PW-HDR-013", "Does not verify the trailer of control packets.";
    WaitsForLongControl, "waits-for-long-control", "PW-HDR-014", "Waits for the payload of a control packet that is too long.";
    RefusesLongestClose, "refuses-longest-close", "PW-HDR-014", "Closes on a CLOSE of exactly the greatest length.";
    IgnorableUnlimited, "ignorable-unlimited", "PW-HDR-015", "Takes ignorable packets of any length.";
    JudgesLengthFirst, "judges-length-first", "PW-HDR-017", "Judges the length before the class.";
    JudgesFragmentsFirst, "judges-fragments-first", "PW-HDR-017", "Judges a frame by section 6 before it asks for CHECKSUM.";
    WrongCheckKey, "wrong-check-key", "PW-KEY-001", "Goes on sending with key 0.";
    AcceptsZeroSyncKey, "accepts-zero-sync-key", "PW-KEY-002", "Takes a sync key of 0.";
    AcceptsKeyZero, "accepts-key-zero", "PW-KEY-003", "Takes headers with key 0 after the first packet.";
    FixedSyncKey, "fixed-sync-key", "PW-KEY-004", "Announces the same sync key on every connection.";
    RejectsSplitHeader, "rejects-split-header", "PW-FRM-001", "Takes the end of a read for the end of a packet.";
    SkipsWithoutResync, "skips-without-resync", "PW-FRM-002", "Resynchronises although it announced no RESYNC.";
    SkipsBeforeHello, "skips-before-hello", "PW-FRM-003", "Looks for HELLO behind garbage.";
    ReadsAnyPacketAsHello, "reads-any-packet-as-hello", "PW-FRM-004", "Looks for items in a first packet of any kind.";
    JudgesShortGarbage, "judges-short-garbage", "PW-FRM-003", "Closes at a first byte that is not that of the magic.";
    DropsDamagedHello, "drops-damaged-hello", "PW-FRM-003", "Passes over a first packet with a wrong trailer.";
    DropsReadBuffer, "drops-read-buffer", "PW-FRM-005", "Throws away everything it has read when a header does not verify.";
    RescansDroppedPacket, "rescans-dropped-packet", "PW-FRM-006", "Looks for packets inside one with a wrong trailer.";
    OmitsChecksum, "omits-checksum", "PW-FRM-007", "Never sends CHECKSUM.";
    OmitsLaterChecksums, "omits-later-checksums", "PW-FRM-007", "Sends CHECKSUM on the first frame of a message only.";
    AcceptsMissingChecksum, "accepts-missing-checksum", "PW-FRM-008", "Takes DATA without CHECKSUM although it announced RESYNC.";
    AsksForFirstChecksum, "asks-for-first-checksum", "PW-FRM-008", "Takes continuations without CHECKSUM although it announced RESYNC.";
    DeliversSplicedMessage, "delivers-spliced-message", "PW-FRM-009", "Joins what is left of a message after a gap.";
    ClosesOnOrphanAfterGap, "closes-on-orphan-after-gap", "PW-FRM-010", "Closes on the continuation of a message that a gap took.";
    JudgesPassedOver, "judges-passed-over", "PW-FRM-010", "Holds the frames that it passes over to the rules of section 6.";
    SkipsForEver, "skips-for-ever", "PW-FRM-011", "Has no budget for resynchronising.";
    DroppedBytesAreFree, "dropped-bytes-are-free", "PW-FRM-011", "Does not count the bytes of dropped packets.";
    GapPerRead, "gap-per-read", "PW-FRM-011", "Begins a new gap with every read.";
    BudgetIgnoresFrameLimit, "budget-ignores-frame-limit", "PW-FRM-011", "Bears 65,536 skipped bytes, whatever its frame limit is.";
    IgnoresFrameLimit, "ignores-frame-limit", "PW-FRM-012", "Takes frames above the limit that it announced.";
    CutsWithoutAWord, "cuts-without-a-word", "PW-FRM-012", "Ends the connection for a fault without CLOSE.";
    LimitsFirstFrames, "limits-first-frames", "PW-FRM-012", "Holds only the first frame of a message to its frame limit.";
    NeverStalls, "never-stalls", "PW-FRM-015", "Waits for ever for the rest of a packet.";
    StallIgnoresLength, "stall-ignores-length", "PW-FRM-015", "Gives long packets no more time than short ones.";
    ActsAfterFault, "acts-after-fault", "PW-FRM-016", "Delivers the messages behind a packet for which it closed.";
    DropsEmptyMessage, "drops-empty-message", "PW-DAT-001", "Does not deliver an empty message.";
    DeliversFragments, "delivers-fragments", "PW-DAT-002", "Delivers every frame as a message.";
    AcceptsMixedClasses, "accepts-mixed-classes", "PW-DAT-003", "Joins frames of different classes.";
    AcceptsEmptyFragment, "accepts-empty-fragment", "PW-DAT-004", "Takes an empty frame with MORE.";
    RestartsMessage, "restarts-message", "PW-DAT-005", "Forgets the open message when another begins.";
    CutsBetweenFrames, "cuts-between-frames", "PW-DAT-005", "Cuts a message that just fits between two frames of another one.";
    HoldsOtherClasses, "holds-other-classes", "PW-DAT-006", "Closes on a message of another class between frames.";
    AcceptsOrphanFragment, "accepts-orphan-fragment", "PW-DAT-007", "Passes over a continuation without a beginning.";
    IgnoresMessageLimit, "ignores-message-limit", "PW-DAT-008", "Lets messages grow above the limit that it announced.";
    CutsForLargeMessage, "cuts-for-large-message", "PW-DAT-008", "Closes with MESSAGE_TOO_LARGE for one message.";
    IgnoresPeerLimits, "ignores-peer-limits", "PW-DAT-009", "Sends frames and messages as large as it likes.";
    FramesAsLargeAsAllowed, "frames-as-large-as-allowed", "PW-DAT-009", "Sends frames as large as the peer would take.";
    DeafInsideMessage, "deaf-inside-message", "PW-DAT-010", "Does not answer PING between the frames of a message.";
    LimitsOfLastPeer, "limits-of-last-peer", "PW-DAT-009", "Keeps to the limits of the peer that came last, on every connection.";
    DeliversOutOfOrder, "delivers-out-of-order", "PW-DAT-011", "Returns messages that wait together in reverse order.";
    SmallOvertakes, "small-overtakes", "PW-DAT-011", "Sends small messages before large ones that wait.";
    DropsOldest, "drops-oldest", "PW-DAT-011", "Drops the oldest message when too many wait.";
    TakesWhenFull, "takes-when-full", "PW-DAT-011", "Says that it took messages for which its queue has no room.";
    FourClassesAtMost, "four-classes-at-most", "PW-DAT-011", "Forgets what waits of a class when something of a fifth one has to wait.";
    ControlEndsMessage, "control-ends-message", "PW-DAT-010", "Forgets the open message when a control packet comes.";
    LosesEncryptedMark, "loses-encrypted-mark", "PW-DAT-012", "Does not hand ENCRYPTED to the application.";
    MessagesNeverStall, "messages-never-stall", "PW-DAT-013", "Keeps an open message for ever.";
    FramesAddNoTime, "frames-add-no-time", "PW-DAT-013", "Gives an open message no more time for its later frames.";
    FramesRestartMessageTime, "frames-restart-message-time", "PW-DAT-013", "Gives an open message its whole time with each frame.";
    SavesUpMessageTime, "saves-up-message-time", "PW-DAT-013", "Gives an open message more than its whole time for many frames at once.";
    CloseKeepsMessageOpen, "close-keeps-message-open", "PW-DAT-013", "Judges the time of a message that CLOSE of its sender has ended.";
    RefusedNeverStalls, "refused-never-stalls", "PW-DAT-013", "Keeps a message that it refused open for ever.";
    CrowdsOutOpenMessage, "crowds-out-open-message", "PW-DAT-014", "Sends any number of messages between two frames.";
    ClassesWaitInLine, "classes-wait-in-line", "PW-DAT-015", "Sends nothing between the frames of a message.";
    OneClassAtATime, "one-class-at-a-time", "PW-DAT-015", "Sends all messages of a class before those of the next.";
    RefusesSilently, "refuses-silently", "PW-REJ-001", "Refuses messages without REJECT.";
    RejectsTwice, "rejects-twice", "PW-REJ-001", "Sends REJECT for each further frame of a refused message.";
    CountsRefused, "counts-refused", "PW-REJ-001", "Counts refused messages as received.";
    OrdinalFromZero, "ordinal-from-zero", "PW-REJ-002", "Counts the messages of the peer from 0.";
    OrdinalLacksDropped, "ordinal-lacks-dropped", "PW-REJ-002", "Does not count messages whose packet was dropped.";
    OrdinalAfterSkip, "ordinal-after-skip", "PW-REJ-002", "Numbers messages as if skipped bytes had held none.";
    CountsOverClasses, "counts-over-classes", "PW-REJ-002", "Counts the messages of all classes together.";
    NamesWrongRejectReason, "names-wrong-reject-reason", "PW-REJ-003", "Says TOO_LARGE of damaged messages.";
    RejectsWholeFirst, "rejects-whole-first", "PW-REJ-003", "Refuses the dropped message before the one that was open.";
    ForgetsRefused, "forgets-refused", "PW-REJ-004", "Closes on the frames that follow in a refused message.";
    RejectsDamageAgain, "rejects-damage-again", "PW-REJ-004", "Refuses a message that it has refused when damage ends it.";
    RejectWaitsInLine, "reject-waits-in-line", "PW-REJ-005", "Sends REJECT behind the messages that wait.";
    NoRejectBehindClose, "no-reject-behind-close", "PW-REJ-005", "Sends no REJECT after its CLOSE.";
    QueuesAnyRejects, "queues-any-rejects", "PW-REJ-006", "Lets any number of REJECT wait.";
    RejectsAddUp, "rejects-add-up", "PW-REJ-006", "Counts REJECT over the whole life of the connection.";
    HidesReject, "hides-reject", "PW-REJ-007", "Does not tell the application of REJECT.";
    FlattensRejectedClass, "flattens-rejected-class", "PW-REJ-007", "Tells the application class 0 of every REJECT.";
    ClosesOnUnknownReject, "closes-on-unknown-reject", "PW-REJ-007", "Closes on a REJECT with a reason that it does not know.";
    BelievesAnyOrdinal, "believes-any-ordinal", "PW-REJ-008", "Takes REJECT for a message that it never sent.";
    ComparesOverClasses, "compares-over-classes", "PW-REJ-008", "Compares the ordinal of a REJECT with the messages of all classes.";
    AcceptsRepeatedOrdinal, "accepts-repeated-ordinal", "PW-REJ-008", "Takes REJECT for a message twice.";
    AcceptsAnyNumberOfRejects, "accepts-any-number-of-rejects", "PW-REJ-008", "Takes more REJECTs for a class than it has begun messages of it.";
    SpeaksFirst, "speaks-first", "PW-HS-001", "Sends PING as a server before HELLO has come.";
    AcceptsMissingItem, "accepts-missing-item", "PW-HS-002", "Takes version 1 and key 1 where they are not said.";
    AnswersHighestOffered, "answers-highest-offered", "PW-HS-003", "Answers with the highest version of the client.";
    ExpectsItemOrder, "expects-item-order", "PW-HS-002", "Closes on items that are not in the order of their ids.";
    AcceptsAnyVersion, "accepts-any-version", "PW-HS-004", "Goes on with a client that shares no version.";
    AcceptsUnknownItem, "accepts-unknown-item", "PW-HS-005", "Passes over unknown critical items.";
    JudgesVersionFirst, "judges-version-first", "PW-HS-005", "Judges the versions before the items.";
    RejectsIgnorableItem, "rejects-ignorable-item", "PW-HS-006", "Closes on unknown items that may be passed over.";
    AcceptsBadItem, "accepts-bad-item", "PW-HS-007", "Ignores an item that is cut off.";
    AcceptsRepeatedItem, "accepts-repeated-item", "PW-HS-008", "Takes the first of several equal items.";
    AssumesOtherLimits, "assumes-other-limits", "PW-HS-011", "Takes a peer that announces no limits for one without any.";
    AcceptsAnyPingFloor, "accepts-any-ping-floor", "PW-HS-009", "Moves a PING_FLOOR outside its range to the nearest in it.";
    AcceptsAnyLimits, "accepts-any-limits", "PW-HS-010", "Takes limits outside their range for absent.";
    NoHandshakeTimeout, "no-handshake-timeout", "PW-HS-012", "Waits for ever for the first packet.";
    HandshakeTimeRestarts, "handshake-time-restarts", "PW-HS-012", "Starts handshake_timeout anew with every byte.";
    SecondHelloAccepted, "second-hello-accepted", "PW-HS-013", "Ignores a second HELLO.";
    RejectsUnknownFeature, "rejects-unknown-feature", "PW-HS-014", "Closes on bits of FEATURES that it does not know.";
    ForgetsDetectWithin, "forgets-detect-within", "PW-HS-016", "Does not compare its effective timers with detect_within.";
    AnyFloorByDefault, "any-floor-by-default", "PW-HS-016", "Bears any PING_FLOOR where no detect_within is chosen.";
    MinuteByDefault, "minute-by-default", "PW-HS-016", "Takes 60,000 ms for detect_within where none is chosen, though its own timers are long.";
    JudgesTimersFirst, "judges-timers-first", "PW-HS-016", "Compares its timers before it judges the versions.";
    JudgesTimersLast, "judges-timers-last", "PW-HS-016", "Compares its timers when the application has judged HELLO.";
    AcceptsBackwardVersions, "accepts-backward-versions", "PW-HS-017", "Takes a range of versions that is none for version 1.";
    AcceptsAnyChosenVersion, "accepts-any-chosen-version", "PW-HS-015", "Goes on as a client with any version that the server chose.";
    AcceptsVersionZero, "accepts-version-zero", "PW-HS-017", "Takes a lowest version of 0.";
    ScreamsBeforeHelloAck, "screams-before-hello-ack", "PW-HS-018", "Sends CLOSE as a client that has no HELLO_ACK.";
    AnswersBeforeRefusal, "answers-before-refusal", "PW-HS-019", "Sends HELLO_ACK ahead of the CLOSE that refuses.";
    AnswersBeforeJudgement, "answers-before-judgement", "PW-HS-020", "Answers HELLO before the application has judged it.";
    JudgesForEver, "judges-for-ever", "PW-HS-020", "Gives the application any time to judge HELLO.";
    LosesRefusalText, "loses-refusal-text", "PW-HS-020", "Refuses without the application's text and time.";
    HearsWhileJudging, "hears-while-judging", "PW-HS-021", "Keeps what comes while the application judges HELLO.";
    SpeaksBeforeHelloAck, "speaks-before-hello-ack", "PW-HS-021", "Sends PING right behind HELLO.";
    HidesRefusal, "hides-refusal", "PW-HS-022", "Tells the application only the reason of a refusal.";
    PongOnlyIsEvidence, "pong-only-is-evidence", "PW-HB-001", "Takes nothing but PONG for a sign of life.";
    HeaderIsNoEvidence, "header-is-no-evidence", "PW-HB-001", "Takes no header for a sign of life before more of its packet has come.";
    PayloadIsNoEvidence, "payload-is-no-evidence", "PW-HB-002", "Takes a packet for a sign of life only when it is whole.";
    DroppedIsNoEvidence, "dropped-is-no-evidence", "PW-HB-002", "Takes a packet with CHECKSUM for a sign of life only when its trailer is right.";
    BusyPartIsEvidence, "busy-part-is-evidence", "PW-HB-002", "Takes a part of BUSY, and a BUSY with a wrong trailer, for a sign of life.";
    MissesAddUp, "misses-add-up", "PW-HB-004", "Counts unanswered probes over the whole life of the connection.";
    IgnoresPingFloor, "ignores-ping-floor", "PW-HB-005", "Probes more often than the peer tolerates.";
    PingSuppressedBySending, "ping-suppressed-by-sending", "PW-HB-006", "Takes what it sends for a reason not to probe.";
    PingNumberRepeats, "ping-number-repeats", "PW-HB-007", "Sends every PING with the same number.";
    NoPong, "no-pong", "PW-HB-008", "Does not answer PING.";
    PongWrongNumber, "pong-wrong-number", "PW-HB-008", "Answers PING with a number of its own.";
    QueuesPongs, "queues-pongs", "PW-HB-008", "Lets a PONG wait for each PING.";
    FloodDefersAnswers, "flood-defers-answers", "PW-HB-008", "Sends nothing as long as bytes come.";
    FloodSilencesOthers, "flood-silences-others", "PW-HB-008", "Sends nothing on its other connections as long as bytes come on one.";
    AcceptsStrangePong, "accepts-strange-pong", "PW-HB-009", "Ignores a PONG for a PING that it never sent.";
    WaitsForTransport, "waits-for-transport", "PW-HB-011", "Waits for ever for the transport to take a PING.";
    ForgivesNoLump, "forgives-no-lump", "PW-HB-011", "Adds up the waits between lumps that its peer takes.";
    AcceptsPongZero, "accepts-pong-zero", "PW-HB-009", "Ignores a PONG with the number 0.";
    NeverGivesUp, "never-gives-up", "PW-HB-012", "Goes on probing a silent peer.";
    ProbesInARow, "probes-in-a-row", "PW-HB-012", "Sends all its probes shortly after each other.";
    VerdictTooEarly, "verdict-too-early", "PW-HB-013", "Gives up one probe too early.";
    GarbageIsEvidence, "garbage-is-evidence", "PW-HB-003", "Takes any received byte for a sign of life.";
    PongsAreNoEvidence, "pongs-are-no-evidence", "PW-HB-014", "Gives up a peer that says nothing but PONG.";
    FloodDeafensToOthers, "flood-deafens-to-others", "PW-HB-014", "Reads nothing on its other connections as long as bytes come on one.";
    PongWaitsInLine, "pong-waits-in-line", "PW-HB-015", "Sends PONG behind the messages that wait.";
    PingWaitsInLine, "ping-waits-in-line", "PW-HB-015", "Sends PING behind the messages that wait.";
    MissesInItsSleep, "misses-in-its-sleep", "PW-HB-016", "Counts a probe as unanswered, however late it looks.";
    NoFloodLimit, "no-flood-limit", "PW-HB-017", "Answers any number of PINGs.";
    NeverRefills, "never-refills", "PW-HB-017", "Bears 16 PINGs in the whole life of the connection.";
    SavesUpPings, "saves-up-pings", "PW-HB-017", "Bears as many PINGs at once as were not sent before.";
    NeverSuspects, "never-suspects", "PW-HB-018", "Does not tell the application that a probe stayed unanswered.";
    NeverRecovers, "never-recovers", "PW-HB-018", "Does not tell the application that a suspect has answered.";
    DropsWhilePausing, "drops-while-pausing", "PW-HB-019", "Reads on while it pauses, and drops what comes.";
    PausesSilently, "pauses-silently", "PW-HB-019", "Stops reading without BUSY.";
    AwaySilently, "away-silently", "PW-HB-019", "Stops reading without BUSY while its application is elsewhere.";
    BusyOnce, "busy-once", "PW-HB-019", "Does not repeat BUSY while it goes on pausing.";
    NoBusyZero, "no-busy-zero", "PW-HB-019", "Reads again without BUSY with 0.";
    BusyWaitsInLine, "busy-waits-in-line", "PW-HB-019", "Sends BUSY behind the messages that wait.";
    ProbesBusyPeer, "probes-busy-peer", "PW-HB-020", "Probes a peer that said BUSY.";
    AnyPacketEndsPause, "any-packet-ends-pause", "PW-HB-020", "Takes any other packet for the end of a pause.";
    IgnoresBusyZero, "ignores-busy-zero", "PW-HB-020", "Goes on waiting after BUSY with 0.";
    WriteStallRunsInPause, "write-stall-runs-in-pause", "PW-HB-020", "Counts the time in which the peer pauses against what it does not take.";
    WriteRestsForEver, "write-rests-for-ever", "PW-HB-020", "Lets what is not taken wait for as long as the peer pauses.";
    MessageTimeRunsInPause, "message-time-runs-in-pause", "PW-HB-020", "Counts the time in which the peer pauses against its open message.";
    MessageRestsForEver, "message-rests-for-ever", "PW-HB-020", "Keeps an open message for as long as the peer pauses.";
    NoBusyMax, "no-busy-max", "PW-HB-021", "Lets the peer pause as long as it likes.";
    BusyIsAlwaysEvidence, "busy-is-always-evidence", "PW-HB-021", "Takes BUSY after busy_max for a sign of life.";
    SilenceCountsPause, "silence-counts-pause", "PW-HB-022", "Counts the pause of the peer as silence.";
    JudgesWhilePausing, "judges-while-pausing", "PW-HB-023", "Gives the peer up while it does not read.";
    StallsWhilePausing, "stalls-while-pausing", "PW-HB-023", "Closes with FRAME_STALL while it does not read.";
    OwnPauseRunsMessageTime, "own-pause-runs-message-time", "PW-HB-023", "Counts the time in which it does not read against an open message.";
    PausesBeforeHandshake, "pauses-before-handshake", "PW-HB-024", "Sends BUSY before HELLO_ACK.";
    PausesBehindClose, "pauses-behind-close", "PW-HB-024", "Stops reading after its CLOSE.";
    AsksWithoutEnd, "asks-without-end", "PW-HB-025", "Sends PING although 14 are unanswered.";
    ForgivesWhenFull, "forgives-when-full", "PW-HB-025", "Never gives up a peer that has 14 PINGs to answer.";
    AnswersOneByOne, "answers-one-by-one", "PW-HB-025", "Takes PONG for the answer to the PING with its number alone.";
    JittersBelowFloor, "jitters-below-floor", "PW-HB-026", "Shortens a silence of the PING_FLOOR by its jitter.";
    NoCloseAck, "no-close-ack", "PW-CLS-001", "Ends without CLOSE_ACK.";
    ForgetsWhatWaitsAtClose, "forgets-what-waits-at-close", "PW-CLS-001", "Sends nothing of what waited when the peer's CLOSE came.";
    SendsAfterClose, "sends-after-close", "PW-CLS-002", "Sends messages after its CLOSE.";
    QuietAfterClose, "quiet-after-close", "PW-CLS-002", "Sends no PING after its CLOSE.";
    CloseOvertakes, "close-overtakes", "PW-CLS-003", "Sends CLOSE before the messages that wait.";
    FloodDefersApplication, "flood-defers-application", "PW-CLS-003", "Does nothing that its application asks for as long as bytes come.";
    FaultWaitsInLine, "fault-waits-in-line", "PW-CLS-003", "Sends CLOSE for a fault behind the messages that wait.";
    WrongReceivedCount, "wrong-received-count", "PW-CLS-004", "Counts frames instead of messages.";
    DeafAfterClose, "deaf-after-close", "PW-CLS-005", "Drops messages that come after its CLOSE.";
    IgnoresCrossingClose, "ignores-crossing-close", "PW-CLS-006", "Does not answer a CLOSE after sending its own.";
    ReportsReasonOfPeer, "reports-reason-of-peer", "PW-CLS-006", "Reports the peer's reason where both closed.";
    JudgesBothClosing, "judges-both-closing", "PW-CLS-006", "Gives up a silent peer after both have sent CLOSE.";
    NoCloseTimeout, "no-close-timeout", "PW-CLS-007", "Waits for ever for CLOSE_ACK.";
    FloodDefersCloseTimeout, "flood-defers-close-timeout", "PW-CLS-007", "Does not judge close_timeout as long as bytes come.";
    AnyByteDefersCloseTimeout, "any-byte-defers-close-timeout", "PW-CLS-007", "Counts close_timeout anew with each byte that is taken behind its CLOSE.";
    CloseTimeRunsWhileItWaits, "close-time-runs-while-it-waits", "PW-CLS-007", "Counts close_timeout from the moment at which the application closed.";
    RejectsUnknownReason, "rejects-unknown-reason", "PW-CLS-008", "Closes on a CLOSE with a reason that it does not know.";
    FlattensReasons, "flattens-reasons", "PW-CLS-008", "Tells its application NORMAL for a reason that it does not know.";
    RejectsLocalReason, "rejects-local-reason", "PW-CLS-008", "Closes on a CLOSE with a reason that should not be on the wire.";
    AnswersRefusal, "answers-refusal", "PW-CLS-008", "Answers CLOSE in place of HELLO_ACK with CLOSE_ACK.";
    AcknowledgesFault, "acknowledges-fault", "PW-CLS-009", "Answers a CLOSE for a fault with CLOSE_ACK.";
    FlushesAfterFault, "flushes-after-fault", "PW-CLS-009", "Sends what waits after a CLOSE for a fault.";
    FaultOfApplicationWaits, "fault-of-application-waits", "PW-CLS-009", "Closes in an orderly way for a fault that its application found.";
    AcceptsEarlyCloseAck, "accepts-early-close-ack", "PW-CLS-010", "Takes CLOSE_ACK while its CLOSE still waits.";
    AcceptsStrayCloseAck, "accepts-stray-close-ack", "PW-CLS-010", "Ignores CLOSE_ACK without a CLOSE of its own.";
    ListensAfterClose, "listens-after-close", "PW-CLS-013", "Takes messages that come behind a CLOSE.";
    AcceptsDrainBehindClose, "accepts-drain-behind-close", "PW-CLS-013", "Takes DRAIN that comes behind a CLOSE.";
    RejectsOddCloseItem, "rejects-odd-close-item", "PW-CLS-014", "Closes on a CLOSE whose items are malformed.";
    FirstItemCounts, "first-item-counts", "PW-CLS-014", "Takes the first of several equal items of CLOSE.";
    ForgetsItems, "forgets-items", "PW-CLS-014", "Forgets the items before a malformed one.";
    ReportsEndAsOrderly, "reports-end-as-orderly", "PW-CLS-011", "Reports the end of the stream as NORMAL.";
    AlwaysOrderly, "always-orderly", "PW-CLS-011", "Reports an end without CLOSE_ACK as orderly.";
    ReportsWaitingClose, "reports-waiting-close", "PW-CLS-011", "Reports the reason of its own CLOSE, though that still waited when the stream ended behind the peer's.";
    WaitsForCutPacket, "waits-for-cut-packet", "PW-CLS-011", "Waits for the rest of a packet although the stream has ended.";
    ClosesAtOnce, "closes-at-once", "PW-CLS-012", "Closes the transport without reading on.";
    LingersWhileItAnswers, "lingers-while-it-answers", "PW-CLS-012", "Counts linger from the peer's CLOSE on, though messages and CLOSE_ACK wait.";
    LingerRunsWhileItSends, "linger-runs-while-it-sends", "PW-CLS-012", "Closes the transport when linger has passed, although the peer still takes bytes.";
    LingerBeginsTwice, "linger-begins-twice", "PW-CLS-012", "Reads on for linger twice.";
    FloodDefersLinger, "flood-defers-linger", "PW-CLS-012", "Reads on as long as bytes come.";
    LingersWhenCut, "lingers-when-cut", "PW-CLS-012", "Reads on for linger when its application cuts the connection.";
    WritesForEver, "writes-for-ever", "PW-CLS-015", "Waits for ever for a peer that does not read.";
    FloodDefersWriteStall, "flood-defers-write-stall", "PW-CLS-015", "Does not judge what its peer does not take as long as bytes come.";
    BacklogRunsOutOfTime, "backlog-runs-out-of-time", "PW-CLS-015", "Gives what waits write_stall in all, though its peer takes it all the time.";
    OneBlocksAll, "one-blocks-all", "PW-CLS-015", "Sends nothing on any connection while one takes nothing.";
    AnyProgressIsEnough, "any-progress-is-enough", "PW-CLS-015", "Waits for ever for a peer that takes a byte now and then.";
    LastPacketsTakeAnyTime, "last-packets-take-any-time", "PW-CLS-015", "Waits for ever for its last packets to be taken.";
    DrainsTwice, "drains-twice", "PW-CLS-016", "Sends DRAIN each time that the application asks.";
    DrainWaitsInLine, "drain-waits-in-line", "PW-CLS-016", "Sends DRAIN behind the messages that wait.";
    HidesDrain, "hides-drain", "PW-CLS-017", "Does not tell the application of DRAIN.";
    DrainCloses, "drain-closes", "PW-CLS-017", "Closes as soon as DRAIN comes.";
    AcceptsSecondDrain, "accepts-second-drain", "PW-CLS-017", "Takes DRAIN as often as it comes.";
    BelievesAnyCount, "believes-any-count", "PW-CLS-019", "Takes a count of messages that it never sent.";
    CountsBegunMessages, "counts-begun-messages", "PW-CLS-019", "Takes a count of messages that it has begun to send.";
    CountsRefusedOfPeer, "counts-refused-of-peer", "PW-CLS-019", "Takes a count of messages that the peer has refused.";
    ForgetsCountsTold, "forgets-counts-told", "PW-CLS-019", "Takes REJECT for a message that the peer has counted as received.";
    AnnouncesUndefined, "announces-undefined", "PW-VER-001", "Announces a feature that is not defined.";
    SaysAnyReason, "says-any-reason", "PW-VER-001", "Closes with any reason that its application names.";
    ClosesTwice, "closes-twice", "PW-CLS-019", "Sends CLOSE behind its own for a fault.";
    LosesOwnText, "loses-own-text", "PW-CLS-021", "Closes without the text and time of its application.";
    CutsCharacters, "cuts-characters", "PW-CLS-021", "Cuts a long text within a character.";
    HidesText, "hides-text", "PW-CLS-021", "Does not tell the application the text of a CLOSE.";
    CookieRepeats, "cookie-repeats", "PW-CK-001", "Counts cookies with 8 bits.";
    AcceptsStaleId, "accepts-stale-id", "PW-CK-002", "Looks at the slot of an id only.";
    LosesRefusedPayload, "loses-refused-payload", "PW-CK-003", "Keeps the payload of a refused send.";
    QueueBelongsToSlot, "queue-belongs-to-slot", "PW-CK-004", "Leaves unsent messages in the slot for its next connection.";
    IdOutlivesConnection, "id-outlives-connection", "PW-CK-005", "Keeps the id of a connection that was closed for a fault.";
    ReportsResetAsEnd, "reports-reset-as-end", "PW-TCP-004", "Reports a reset as the end of the stream.";
    ReportsCutAsReset, "reports-cut-as-reset", "PW-TCP-004", "Reports a connection that its application cut as a reset.";
    JudgesBeforeItReads, "judges-before-it-reads", "PW-TCP-001", "Judges its time limits before it acts on what has come.";
    JudgesBeforeItWrites, "judges-before-it-writes", "PW-TCP-001", "Judges what its peer does not take before it tries to write once more.";
    WritesNothingWhilePausing, "writes-nothing-while-pausing", "PW-TCP-001", "Sends no messages while it pauses.";
    SleepIsNoExcuse, "sleep-is-no-excuse", "PW-TIM-001", "Closes for a time limit, however late it looks.";
}
