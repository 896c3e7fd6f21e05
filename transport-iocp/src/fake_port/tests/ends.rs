//! How connections, sockets and attempts to connect end.

use super::*;
use pulsewire_socket::Cause;

#[test]
fn dropping_a_socket_cancels_and_closes_only_when_all_came_back() {
    on_each_network(|_, port| {
        let (client, server) = pair(port);
        fill(port, &client, token(2));
        port.receive(&client, BytesMut::with_capacity(8), 8, token(3));
        drop(client);
        let mut completions = Vec::new();
        for _ in 0..PATIENCE {
            if port.outstanding() == 0 {
                break;
            }
            let ended = port.network.borrow_mut().has_ended(server.0.number);
            assert!(!ended, "closed while an operation was pending");
            port.wait(Some(Duration::ZERO), &mut completions).unwrap();
        }
        assert!(port.network.borrow_mut().has_ended(server.0.number));
        assert_eq!(completions.len(), 2);
        for completion in completions {
            match completion {
                Completion::Sent { token: got, batch, outcome } => {
                    assert_eq!((got, batch.bytes.len()), (token(2), 50_000));
                    assert_eq!(outcome, Err(SystemError::OPERATION_ABORTED));
                }
                Completion::Received { token: got, buffer, outcome } => {
                    assert_eq!((got, buffer.capacity()), (token(3), 8));
                    assert_eq!(outcome, Err(SystemError::OPERATION_ABORTED));
                }
                other => panic!("unexpected: {:?}", token_of(&other)),
            }
        }
    });
}

#[test]
fn the_ways_a_connection_ends_look_as_they_do_on_the_system() {
    on_each_network(|network, port| {
        let (client, server) = pair(port);
        port.shut_down_send(&client).unwrap();
        assert_eq!(receive(port, &server), Ok(vec![]), "half-closed");
        assert_eq!(send(port, &server, b"x"), Ok(1), "the other direction goes on");
        assert_eq!(send(port, &client, b"x"), Err(SystemError::SHUT_DOWN));

        let (client, server) = pair(port);
        send(port, &client, b"lost by the reset").unwrap();
        network.reset(&client);
        for socket in [&client, &server] {
            assert_eq!(receive(port, socket).map_err(SystemError::cause), Err(Cause::Reset));
        }

        let (client, server) = pair(port);
        send(port, &client, b"never read").unwrap();
        drop(server);
        assert_eq!(receive(port, &client).map_err(SystemError::cause), Err(Cause::Reset));

        let (client, server) = pair(port);
        drop(server);
        assert_eq!(receive(port, &client), Ok(vec![]));
        assert_eq!(send(port, &client, b"x"), Ok(1), "the first send to a peer that is gone is taken");
        assert_eq!(send(port, &client, b"x").map_err(SystemError::cause), Err(Cause::Reset));
    });
}

#[test]
fn a_cut_cable_is_silence_until_tcp_gives_up() {
    on_each_network(|network, port| {
        let (client, server) = pair(port);
        network.cut(&server);
        fill(port, &client, token(2));
        port.receive(&server, BytesMut::with_capacity(8), 8, token(3));
        port.receive(&client, BytesMut::with_capacity(8), 8, token(4));
        let (mut completions, before) = (Vec::new(), port.now());
        port.wait(Some(Duration::from_secs(60)), &mut completions).unwrap();
        assert_eq!((completions.len(), port.now() - before), (0, Duration::from_secs(60)));
        network.give_up(&client);
        network.give_up(&server);
        for completion in drain(port) {
            match completion {
                Completion::Sent { outcome, .. } | Completion::Received { outcome, .. } => {
                    assert_eq!(outcome.map_err(SystemError::cause), Err(Cause::NetworkLost));
                }
                other => panic!("unexpected: {:?}", token_of(&other)),
            }
        }
    });
}

#[test]
fn connecting_is_refused_or_swallowed() {
    on_each_network(|network, port| {
        let (listener, address) = port.listen(ANYWHERE, ListenOptions::default()).unwrap();
        assert_eq!(port.listen(address, ListenOptions::default()).map(drop), Err(SystemError::ADDRESS_IN_USE));
        drop(listener);
        let refused = port.connect(address, token(1)).unwrap();
        let outcomes = drain(port);
        assert!(matches!(outcomes[..], [Completion::Connected { outcome: Err(SystemError::CONNECTION_REFUSED), .. }]));
        network.make_unreachable(address);
        let swallowed = port.connect(address, token(2)).unwrap();
        port.wait(Some(Duration::from_secs(9)), &mut Vec::new()).unwrap();
        assert_eq!(port.outstanding(), 1);
        drop((refused, swallowed));
        let outcomes = drain(port);
        assert!(matches!(outcomes[..], [Completion::Connected { outcome: Err(SystemError::OPERATION_ABORTED), .. }]));
    });
}

#[test]
fn dropping_a_listener_cancels_its_accepts_and_resets_its_backlog() {
    on_each_network(|_, port| {
        let (listener, address) = port.listen(ANYWHERE, ListenOptions::default()).unwrap();
        let client = port.connect(address, token(1)).unwrap();
        drain(port);
        drop(listener);
        assert_eq!(receive(port, &client).map_err(SystemError::cause), Err(Cause::Reset));
        let (listener, _) = port.listen(ANYWHERE, ListenOptions::default()).unwrap();
        port.accept(&listener, token(2));
        drop(listener);
        let outcomes = drain(port);
        assert!(matches!(outcomes[..], [Completion::Accepted { outcome: Err(SystemError::OPERATION_ABORTED), .. }]));
    });
}
