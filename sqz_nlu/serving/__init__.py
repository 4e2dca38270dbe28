"""A trained bundle at work: Rasa's ``/model/parse`` over HTTP, files full of utterances, Ray clusters."""
