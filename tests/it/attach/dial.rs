//! `D` on an empty board: the first call of the day, placed from the screen at a real backend with a
//! simulated carrier and agent, whether the backend is in the same process or elsewhere.

use wallboard::simulator::Stage;

use super::*;
use crate::it::cli_rig::{Home, until};
use crate::it::support::pty;

const PERSON: &str = "+12065550143";

fn configured(stage: &Stage, address: &str) -> Home {
    let home = Home::new();
    home.configure(&format!(
        r#"
[server]
listen = "{address}"
public_url = "http://{address}"
[auth]
admin_token = "{ADMIN}"
[twilio]
account_sid = "{sid}"
auth_token = "{auth}"
phone_number = "{number}"
api_base = "{twilio}"
[elevenlabs]
api_key = "{key}"
agent_id = "{agent}"
phone_number_id = "phnum_1"
webhook_secret = "{webhook}"
api_base = "{api}"
ws_base = "{ws}"
"#,
        sid = stage.twilio.account_sid(),
        auth = Stage::AUTH_TOKEN,
        number = stage.twilio.number(),
        twilio = stage.twilio.api_base(),
        key = Stage::API_KEY,
        agent = Stage::AGENT_ID,
        webhook = Stage::WEBHOOK_SECRET,
        api = stage.elevenlabs.api_base(),
        ws = stage.elevenlabs.ws_base(),
    ));
    home
}

fn free_address() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

/// An enter that follows too fast is taken for a slip of the finger, so it is pressed until it is heard.
fn enter(screen: &mut pty::Screen, answer: &str) {
    for _ in 0..20 {
        screen.keys("\r");
        if screen.appears(answer, 250) {
            return;
        }
    }
    panic!("enter was not heard:\n{}", screen.text());
}

/// Dials by key and watches the call come up.
fn dials(screen: &mut pty::Screen) {
    screen.wait("the empty board", 20, |text| {
        !text.contains("IN CALL") && text.contains("D places a call")
    });
    screen.keys("D");
    screen.wait_for("Place a call", 5);
    // A number nobody can dial is refused where it is typed.
    screen.keys("12");
    screen.wait_for("› 12", 5);
    enter(screen, "write it with +");
    screen.keys("\x15");
    screen.keys(PERSON);
    // Keys of one breath are taken for a paste, so the number is read before it is sent.
    screen.wait_for(PERSON, 5);
    enter(screen, "206 •••");
    screen.wait_for("IN CALL", 30);
    screen.wait("the agent speaks", 30, |text| text.contains("agent "));
    assert!(!screen.text().contains(PERSON), "numbers are masked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_call_can_be_dialled_from_an_empty_board() {
    let tasks = Tasks::new();
    let stage = Stage::start(3, &tasks).await.unwrap();
    // Another account: what goes on in the first would be found again by asking the carrier.
    let other = Stage::start(4, &tasks).await.unwrap();
    tokio::task::block_in_place(|| {
        // Elsewhere.
        let address = free_address();
        let home = configured(&stage, &address);
        let serve = home.start(&["serve"]);
        until("it serves", 20, || {
            std::net::TcpStream::connect(&address).ok()
        });
        let url = format!("http://{address}");
        let env = [("WALLBOARD_TOKEN", ADMIN)];
        let mut screen = pty::Screen::start(&["attach", &url], 120, 40, &env);
        dials(&mut screen);
        drop((screen, serve));
        // In the same process.
        let home = configured(&other, &free_address());
        let config = home.path().join(".config/wallboard/config.toml");
        let args = ["--config", config.to_str().unwrap(), "run"];
        let env = [("HOME", home.path().to_str().unwrap())];
        let mut screen = pty::Screen::start(&args, 120, 40, &env);
        dials(&mut screen);
    });
    stage.stop();
    other.stop();
    tasks.cancel();
}

/// Dials on the agent vendor's own line: what is said comes by its webhooks.
fn dials_via_the_vendor(screen: &mut pty::Screen) {
    screen.wait_for("D places a call", 20);
    screen.keys("D");
    screen.wait_for("via elevenlabs", 5);
    let dialled = format!("{PERSON} via elevenlabs");
    screen.keys(&dialled);
    screen.wait_for(&dialled, 5);
    enter(screen, "206 •••");
    screen.wait_for("IN CALL", 30);
    screen.wait_for("observed", 10);
    screen.wait("the agent's words", 30, |text| text.contains("agent "));
    assert!(!screen.text().contains(PERSON), "numbers are masked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_on_the_agent_vendors_line_can_be_dialled_from_the_screen() {
    let tasks = Tasks::new();
    let stage = Stage::start(5, &tasks).await.unwrap();
    let address = free_address();
    stage
        .elevenlabs
        .tell(wallboard::simulator::elevenlabs::Webhooks {
            base: format!("http://{address}"),
            secret: Secret::new(Stage::WEBHOOK_SECRET),
            pace: Duration::from_millis(500),
            live: true,
        });
    tokio::task::block_in_place(|| {
        let home = configured(&stage, &address);
        let _serve = home.start(&["serve"]);
        until("it serves", 20, || {
            std::net::TcpStream::connect(&address).ok()
        });
        let url = format!("http://{address}");
        let env = [("WALLBOARD_TOKEN", ADMIN)];
        let mut screen = pty::Screen::start(&["attach", &url], 120, 40, &env);
        dials_via_the_vendor(&mut screen);
    });
    stage.stop();
    tasks.cancel();
}
