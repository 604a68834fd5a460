//! Local sound output; "no device" is a normal answer.
