//! Tools the agent asks for, and what they are answered.

use super::*;

#[test]
fn a_tools_result_waits_for_the_end_of_the_answer_that_asked_for_it() {
    let mut codec = open_with(OpenAiSettings {
        tools: vec![Tool::transfer_call(&[])],
        ..settings()
    });
    began(&mut codec, "resp_1");
    let item = json!({"id": "item_f", "type": "function_call", "status": "completed",
        "name": "transfer_call", "call_id": "call_9", "arguments": "{\"reason\":\"asked\"}"});
    let asked = hear(
        &mut codec,
        json!({"type": "response.output_item.done", "response_id": "resp_1", "item": item}),
    );
    assert!(
        matches!(&asked[..], [AgentIn::ToolCall { tool_call_id, .. }] if tool_call_id == "call_9")
    );
    let again = hear(
        &mut codec,
        json!({"type": "response.function_call_arguments.done", "response_id": "resp_1",
            "call_id": "call_9", "name": "transfer_call", "arguments": "{}"}),
    );
    assert!(again.is_empty());
    let result = AgentOut::ToolResult {
        tool_call_id: "call_9".into(),
        ok: false,
        result: "nobody \"there\"".into(),
    };
    assert_eq!(
        told(&mut codec, &result),
        [
            json!({"type": "conversation.item.create", "item": {"type": "function_call_output",
            "call_id": "call_9", "output": r#"{"error":"nobody \"there\"","ok":false}"#}})
        ]
    );
    assert_eq!(ended(&mut codec, "resp_1", "completed"), [AgentIn::Owing]);
    assert_eq!(
        told(&mut codec, &AgentOut::Owed)[0]["type"],
        "response.create"
    );
}

#[test]
fn results_are_strings_that_hold_json() {
    for (ok, result, expected) in [
        (true, r#"{"price":7}"#, r#"{"price":7}"#),
        (true, "done", r#"{"ok":true,"result":"done"}"#),
        (false, r#"{"x":1}"#, r#"{"error":"{\"x\":1}","ok":false}"#),
    ] {
        let out = AgentOut::ToolResult {
            tool_call_id: "c".into(),
            ok,
            result: result.into(),
        };
        let said = told(&mut open(), &out);
        assert_eq!(said[0]["item"]["output"], expected);
        assert_eq!(said[1]["type"], "response.create");
    }
}

#[test]
fn the_agent_hangs_up_by_a_tool_of_its_own() {
    let mut codec = open();
    let said = hear(
        &mut codec,
        json!({"type": "response.function_call_arguments.done", "call_id": "c", "name": "end_call",
            "arguments": ""}),
    );
    assert!(matches!(
        &said[..],
        [
            AgentIn::ToolNews { ok: Some(true), .. },
            AgentIn::HangUp { .. }
        ]
    ));
}
