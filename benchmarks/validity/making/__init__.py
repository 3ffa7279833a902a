"""How models are made: trained, unlearned, built to be honest or to beat an audit; and the list of them all."""
