"""A trained bundle as a service: Rasa's ``/model/parse`` over HTTP."""
