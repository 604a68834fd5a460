//! Carriers and agents that speak the real wire; used by demo, simulate and tests.
