package backoff

// Begin plans a start and saves the state. The caller waits for the delay and then calls Started.
func Begin(instance string, p Policy) (State, Decision, error) {
	now, err := Now()
	if err != nil {
		return State{}, Decision{}, err
	}
	s, d := Plan(Load(instance), p, now)
	return s, d, Save(instance, s)
}

// Started records that the run begins now, after the delay.
func Started(instance string, s State) error {
	now, err := Now()
	if err != nil {
		return err
	}
	s.Started = now
	return Save(instance, s)
}

// Stopping records for ExecStop= how the run ends. requested reports whether the service manager stops it: then $MAINPID is
// set.
func Stopping(instance string, requested bool) error {
	s := Load(instance)
	s.Stop = ByItself
	if requested {
		s.Stop = Requested
	}
	return Save(instance, s)
}

// Record judges the run that has ended, for ExecStopPost=.
func Record(instance string, p Policy, e Exit) error {
	now, err := Now()
	if err != nil {
		return err
	}
	return Save(instance, Ended(Load(instance), p, e, now))
}
