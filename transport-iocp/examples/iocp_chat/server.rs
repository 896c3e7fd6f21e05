//! The handler: commands in, events out.

use std::io;
use std::net::SocketAddr;

use pulsewire_transport_iocp::protocol::{Admission, Config, Event, SendError};
use pulsewire_transport_iocp::{Context, Endpoint, Handler, ServerConfig, SocketOptions};

use crate::rooms::Rooms;

#[derive(Default)]
struct Chat {
    rooms: Rooms,
}

impl Handler for Chat {
    fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
        let id = connection.id();
        match event {
            // Its token is the user's name. With a number nobody else is ever called so.
            Event::Admission(request) => {
                let name = String::from_utf8_lossy(request.token.as_deref().unwrap_or(b"nobody"));
                self.rooms.admit(connection.groups(), id, format!("{name:.32}.{}", id.cookie()));
                connection.accept();
            }
            Event::Established(_) => self.rooms.welcome(connection.groups(), id),
            Event::Message(said) => match serde_json::from_slice(&said.payload) {
                Ok(command) => self.rooms.obey(connection.groups(), id, command),
                Err(error) => self.rooms.refuse(connection.groups(), id, &error.to_string()),
            },
            Event::Closed(closed) => {
                println!("{}: {closed}", connection.peer_address());
                self.rooms.forget(connection.groups(), id);
            }
            _ => {}
        }
    }

    fn unsent(&mut self, _: &mut Context<'_>, refused: SendError<'static>) {
        unreachable!("no other thread sends here: {refused}");
    }
}

/// Starts a chat server at an address, and tells the address that it became.
pub(crate) fn start(address: SocketAddr) -> io::Result<(Endpoint, SocketAddr)> {
    // The handler is to see each user's token.
    let config = Config { admission: Admission::Ask, ..Config::default() };
    let endpoint = Endpoint::start_with(
        config.validate().map_err(io::Error::other)?,
        SocketOptions::default(),
        ServerConfig::default().validate().map_err(io::Error::other)?,
        Chat::default(),
    )?;
    let address = endpoint.listen(address)?;
    Ok((endpoint, address))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pulsewire_transport_iocp::protocol::{Class, Message};
    use pulsewire_transport_iocp::{ChannelHandler, Notices, Sender};

    use super::*;
    use crate::messages;

    struct User {
        endpoint: Endpoint,
        notices: Notices,
        sender: Sender,
        name: String,
    }

    impl User {
        fn come(address: SocketAddr, name: &str) -> Self {
            let (handler, notices) = ChannelHandler::new();
            let config = Config { token: Some(name.to_owned().into()), ..Config::default() };
            let endpoint = Endpoint::start(config.validate().unwrap(), SocketOptions::default(), handler).unwrap();
            endpoint.connect(address).unwrap();
            let (sender, first) = next(&notices);
            let messages::Event::Welcome { you } = first else { panic!("no welcome: {first:?}") };
            assert!(you.starts_with(name));
            let user = Self { endpoint, notices, sender, name: you };
            user.say(r#"{"room":"tea","do":"join"}"#);
            user
        }

        fn say(&self, text: &str) {
            self.sender.try_send(Message::new(Class::ROOM, text.as_bytes().to_vec())).unwrap();
        }

        fn hears(&self, expected: messages::Event) {
            assert_eq!(next(&self.notices).1, expected);
        }

        fn hears_members(&self, members: &[&Self]) {
            let members = members.iter().map(|member| member.name.clone()).collect();
            self.hears(messages::Event::Members { room: "tea".to_owned(), members });
        }
    }

    /// What comes next from the server.
    fn next(notices: &Notices) -> (Sender, messages::Event) {
        loop {
            let notice = notices.recv_timeout(Duration::from_secs(30)).expect("it comes");
            match notice.event() {
                Some(Event::Message(message)) => {
                    let event = serde_json::from_slice(&message.payload).expect("an event");
                    return (notice.sender, event);
                }
                Some(Event::Established(_)) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    #[test]
    fn two_talk_on_real_sockets() {
        let (server, address) = start("127.0.0.1:0".parse().unwrap()).unwrap();
        let anna = User::come(address, "anna");
        anna.hears_members(&[&anna]);
        let bert = User::come(address, "bert");
        anna.hears_members(&[&anna, &bert]);
        bert.hears_members(&[&anna, &bert]);
        bert.say(r#"{"room":"tea","do":"say","text":"good morning"}"#);
        let (room, by) = ("tea".to_owned(), bert.name.clone());
        anna.hears(messages::Event::Said { room, by, text: "good morning".to_owned() });
        next(&bert.notices);
        bert.say("no command");
        assert!(matches!(next(&bert.notices).1, messages::Event::Refused { .. }));
        drop(anna.endpoint);
        bert.hears_members(&[&bert]);
        bert.say(r#"{"room":"tea","do":"dissolve"}"#);
        bert.hears(messages::Event::Out { room: "tea".to_owned(), why: "dissolved".to_owned() });
        drop(bert.endpoint);
        server.shutdown(Duration::from_secs(10)).unwrap();
    }
}
