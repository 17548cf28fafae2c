//! What reaches the helpdesk, in which words, and what does not.

use simulator::NewPost;

use crate::support::service::{ACME, Setup, TestService};

#[tokio::test]
async fn a_mention_becomes_one_event() {
    let mut service = TestService::start(Setup::new()).await;
    let jane = service.user("jane");
    let id = service
        .simulator
        .post(NewPost::by(jane, "@acme hello"))
        .unwrap();
    let event = service.only_event().await;
    assert_eq!(event.event_type(), "message.received");
    assert_eq!(event.text("/account/id"), ACME.to_string());
    assert_eq!(event.text("/message/id"), id.to_string());
    service.stop().await;
}
