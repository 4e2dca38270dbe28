"""SqueezeBERT in torch: the architecture, where its weights come from, and the shipped encoder."""
