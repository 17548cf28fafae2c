//! Conversations of another channel go on here: `threads import`.

use std::fs;

use simulator::{Form, NewPost};

use crate::support::service::{ACME, Setup, TestService};

const HEADER: &str = "ticket,account,conversation,post,author,customer,group,received_at";

#[tokio::test]
async fn a_reply_to_a_post_of_an_old_ticket_comes_in_its_old_conversation_and_group() {
    for form in [Form::AccountActivityV1, Form::Activity] {
        let mut service = TestService::start(Setup::new().forms(&[])).await;
        let (jane, joe) = (service.user("jane"), service.user("joe"));
        // The ticket begins below the first post of the thread, of which the old channel knew nothing.
        let news = service.post(NewPost::by(joe, "Look at this"));
        let question = service.post(NewPost::by(jane, "@acme it broke").replying_to(news));
        let answer = service.post(NewPost::by(ACME, "How?").replying_to(question));
        let old = format!("post:{question}");
        let now = jiff::Timestamp::now();
        let lines = [
            HEADER.to_owned(),
            format!("4711,acme,{old},{question},{jane},{jane},field,{now}"),
            format!("4711,{ACME},{old},{answer},{ACME},{jane},field,"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("old.csv");
        fs::write(&file, lines.join("\n")).unwrap();
        let import = ["threads", "import", file.to_str().unwrap()];
        let (code, said) = service.run(&import).await;
        assert_eq!(
            (code, &*said),
            (0, "2 lines; new: 2 posts, 1 conversations\n")
        );
        let (code, said) = service.run(&import).await;
        assert_eq!(
            (code, &*said),
            (0, "2 lines; new: 0 posts, 0 conversations\n")
        );

        // X tells of an old post once more: the core has it.
        service.deliver_post(question, form).await;
        let more = service.post(NewPost::by(jane, "@acme badly").replying_to(answer));
        service.deliver_post(more, form).await;
        let event = service.only_event().await;
        assert_eq!(event.text("/message/id"), more.to_string(), "{form:?}");
        assert_eq!(event.text("/conversation/id"), old, "{form:?}");
        assert_eq!(event.text("/conversation/case_id"), format!("{old}:{jane}"));
        assert_eq!(event.text("/route/group"), "field");

        // Our own next answer is of the old case too.
        let advice = service.post(NewPost::by(ACME, "Off and on?").replying_to(more));
        service.deliver_post(advice, form).await;
        let event = service.only_event().await;
        assert_eq!(event.text("/conversation/case_id"), format!("{old}:{jane}"));
        service.stop().await;
    }
}

#[tokio::test]
async fn a_faulty_file_imports_nothing_and_every_fault_is_told() {
    let mut service = TestService::start(Setup::new().forms(&[])).await;
    let jane = service.user("jane");
    let question = service.post(NewPost::by(jane, "@acme it broke"));
    let old = "post:77";
    let lines = [
        HEADER.to_owned(),
        format!("1,acme,{old},{question},{jane},{jane},field,"),
        format!("1,acmeshop,{old},1.5e18,{jane},{jane},field,"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.csv");
    fs::write(&file, lines.join("\n")).unwrap();
    let (code, said) = service
        .run(&["threads", "import", file.to_str().unwrap()])
        .await;
    assert_eq!(code, 1);
    for wanted in [
        "nothing was imported; 2 places are to be mended",
        "line 3: account: \"acmeshop\": expected id or username of a linked account",
        "line 3: post: \"1.5e18\": expected an id of X",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
    service.deliver_post(question, Form::AccountActivity).await;
    let event = service.only_event().await;
    assert_eq!(event.text("/conversation/id"), format!("post:{question}"));
    service.stop().await;
}
