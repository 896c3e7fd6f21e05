//! A flow from its beginning to its end.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;

use super::error::{QosCall, QosError};
use super::{QosHandle, QosLibrary, SocketNumber, TrafficType};
use crate::traffic_class::Dscp;

/// The only version that there is. Others are refused with `ERROR_NOT_SUPPORTED` (50).
const VERSION: (u16, u16) = (1, 0);

/// `QOS_NON_ADAPTIVE_FLOW`. Without it a flow is refused with `ERROR_INVALID_PARAMETER` (87).
const NON_ADAPTIVE_FLOW: u32 = 2;

/// One handle of the system, which all flows share, and the last of them closes.
#[derive(Debug)]
pub(crate) struct Session<L: QosLibrary> {
    library: L,
    handle: QosHandle,
}

impl<L: QosLibrary> Session<L> {
    pub(crate) fn open(library: L) -> Result<Arc<Self>, QosError> {
        let handle = library.create_handle(VERSION).map_err(refused(QosCall::CreateHandle))?;
        Ok(Arc::new(Self { library, handle }))
    }
}

impl<L: QosLibrary> Drop for Session<L> {
    fn drop(&mut self) {
        // It fails for no reason that could be mended.
        let _leaked = self.library.close_handle(self.handle);
    }
}

/// A socket in a flow of its own. Has to be dropped before the socket is closed: whoever keeps it keeps the socket too.
#[derive(Debug)]
pub(crate) struct Registration<L: QosLibrary> {
    session: Arc<Session<L>>,
    socket: SocketNumber,
    flow: u32,
}

impl<L: QosLibrary> Registration<L> {
    /// `peer` is given always: on a machine with several network cards the system doesn't know the path without it.
    pub(crate) fn new(
        session: &Arc<Session<L>>,
        socket: SocketNumber,
        peer: Option<SocketAddr>,
        traffic: TrafficType,
    ) -> Result<Self, QosError> {
        let Some(peer) = peer else { return Err(QosError::NotEstablished) };
        let flow = session
            .library
            .add_socket_to_flow(session.handle, socket, Some(peer), traffic, NON_ADAPTIVE_FLOW)
            .map_err(refused(QosCall::AddSocketToFlow))?;
        Ok(Self { session: Arc::clone(session), socket, flow })
    }

    /// Takes the place of the mark that the traffic type gives.
    pub(crate) fn set_dscp(&self, dscp: Dscp) -> Result<(), QosError> {
        let session = &self.session;
        session.library.set_outgoing_dscp(session.handle, self.flow, dscp.number()).map_err(refused(QosCall::SetFlow))
    }
}

impl<L: QosLibrary> Drop for Registration<L> {
    fn drop(&mut self) {
        // It fails if the system has forgotten the flow already.
        let _forgotten = self.session.library.remove_socket_from_flow(self.session.handle, self.socket, self.flow);
    }
}

fn refused(call: QosCall) -> impl FnOnce(u32) -> QosError {
    move |code| QosError::Refused { call, code }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use super::*;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 4352);
    const SOCKET: SocketNumber = SocketNumber(412);

    /// The traps of `qwave.dll` on a machine with several network cards, as they were seen.
    #[derive(Debug, Default, Clone)]
    struct Fake(Rc<RefCell<State>>);

    #[derive(Debug, Default)]
    struct State {
        elevated: bool,
        next: u32,
        handles: Vec<QosHandle>,
        /// The socket and the mark of each flow.
        flows: BTreeMap<u32, (SocketNumber, u8)>,
    }

    impl QosLibrary for Fake {
        fn create_handle(&self, version: (u16, u16)) -> Result<QosHandle, u32> {
            if version != (1, 0) {
                return Err(50);
            }
            let mut state = self.0.borrow_mut();
            state.next += 1;
            let handle = QosHandle(state.next as usize);
            state.handles.push(handle);
            Ok(handle)
        }

        fn close_handle(&self, handle: QosHandle) -> Result<(), u32> {
            let mut state = self.0.borrow_mut();
            assert!(state.flows.is_empty(), "the handle is closed before its flows: {:?}", state.flows);
            let before = state.handles.len();
            state.handles.retain(|open| *open != handle);
            assert_eq!(state.handles.len() + 1, before, "a handle is closed once");
            Ok(())
        }

        fn add_socket_to_flow(
            &self,
            handle: QosHandle,
            socket: SocketNumber,
            peer: Option<SocketAddr>,
            traffic: TrafficType,
            flags: u32,
        ) -> Result<u32, u32> {
            let mut state = self.0.borrow_mut();
            let peer = match peer {
                Some(peer) if flags == 2 && state.handles.contains(&handle) => peer,
                _ => return Err(87),
            };
            if peer.ip().is_loopback() {
                return Err(1168);
            }
            state.next += 1;
            let (flow, mark) = (state.next, [0, 8, 40, 40, 56, 56][traffic as usize]);
            state.flows.insert(flow, (socket, mark));
            Ok(flow)
        }

        fn set_outgoing_dscp(&self, _handle: QosHandle, flow: u32, dscp: u8) -> Result<(), u32> {
            let mut state = self.0.borrow_mut();
            if !state.elevated {
                return Err(5);
            }
            state.flows.get_mut(&flow).map(|(_, mark)| *mark = dscp).ok_or(1168)
        }

        fn remove_socket_from_flow(&self, _handle: QosHandle, socket: SocketNumber, flow: u32) -> Result<(), u32> {
            match self.0.borrow_mut().flows.remove(&flow) {
                Some((member, _)) if member == socket => Ok(()),
                other => panic!("{other:?} is removed as flow {flow} of {socket:?}"),
            }
        }
    }

    impl Fake {
        fn marks(&self) -> Vec<u8> {
            self.0.borrow().flows.values().map(|(_, mark)| *mark).collect()
        }
    }

    #[test]
    fn no_trap_shuts_and_nothing_is_left_behind() {
        let fake = Fake::default();
        let session = Session::open(fake.clone()).unwrap();
        let voice = Registration::new(&session, SOCKET, Some(PEER), TrafficType::Voice).unwrap();
        let bulk = Registration::new(&session, SocketNumber(413), Some(PEER), TrafficType::Background).unwrap();
        assert_eq!(fake.marks(), [56, 8]);
        // The session outlives its last owner, for the flows that it has.
        drop(session);
        drop(voice);
        assert_eq!((fake.marks(), fake.0.borrow().handles.len()), (vec![8], 1));
        drop(bulk);
        assert_eq!((fake.marks(), fake.0.borrow().handles.len()), (vec![], 0));
    }

    #[test]
    fn what_the_system_refuses_is_explained_and_leaves_nothing_behind() {
        let fake = Fake::default();
        let session = Session::open(fake.clone()).unwrap();
        let near = "127.0.0.1:4352".parse().unwrap();
        let error = Registration::new(&session, SOCKET, Some(near), TrafficType::Control).unwrap_err();
        assert_eq!(error, QosError::Refused { call: QosCall::AddSocketToFlow, code: 1168 });
        let error = Registration::new(&session, SOCKET, None, TrafficType::Control).unwrap_err();
        assert_eq!(error, QosError::NotEstablished, "the peer's address is missing");
        assert!(fake.marks().is_empty());
    }

    #[test]
    fn a_mark_of_one_s_own_takes_elevation_and_without_it_the_type_s_stays() {
        let fake = Fake::default();
        let session = Session::open(fake.clone()).unwrap();
        let flow = Registration::new(&session, SOCKET, Some(PEER), TrafficType::Voice).unwrap();
        let error = flow.set_dscp(Dscp::EF).unwrap_err();
        assert_eq!(error, QosError::Refused { call: QosCall::SetFlow, code: 5 });
        assert_eq!(fake.marks(), [56]);
        fake.0.borrow_mut().elevated = true;
        flow.set_dscp(Dscp::EF).unwrap();
        assert_eq!(fake.marks(), [46]);
    }

    /// The fake would tell if the code fell into a trap.
    #[test]
    fn the_fake_has_the_traps() {
        let fake = Fake::default();
        assert_eq!(fake.create_handle((2, 0)), Err(50));
        let handle = fake.create_handle((1, 0)).unwrap();
        let add = |peer, flags| fake.add_socket_to_flow(handle, SOCKET, peer, TrafficType::Voice, flags);
        assert_eq!(add(Some(PEER), 0), Err(87));
        assert_eq!(add(None, 2), Err(87));
        assert!(add(Some(PEER), 2).is_ok());
    }
}
