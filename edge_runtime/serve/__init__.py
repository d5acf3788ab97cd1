"""The operator screen: what `watch --serve` shows. Needs the extra `[serve]`; only `server` and `app` import it."""
