//! Arguments, configuration, wiring of the modes, exit codes.
