"""An existing Hermes home: reading it, switching the plugin on and off in it, and finding what is wrong there."""
