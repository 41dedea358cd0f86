//! Live updates: a WebSocket that tells pages in browsers what changed (messaging §5).
