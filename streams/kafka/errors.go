package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"
)

// What a caller can act on. Waiting cures none of them; everything else is waited out by the driver.
var (
	ErrTopicMissing     = errors.New("the topic does not exist")
	ErrTopicExists      = errors.New("the topic exists already")
	ErrTopicRecreated   = errors.New("the topic was deleted and created anew")
	ErrPartitionMissing = errors.New("the topic has no such partition")
	ErrDenied           = errors.New("the broker refuses these credentials")
	ErrTooLarge         = errors.New("the record is larger than the topic takes")
	ErrUnsupported      = errors.New("the broker or the data is of a version that is not supported")
	ErrCorrupt          = errors.New("the data is damaged")
	ErrConfig           = errors.New("the Kafka settings are wrong")
)

// ErrOffsetBelowStart says that records which are asked for are gone from the log.
type ErrOffsetBelowStart struct {
	Topic     string
	Partition int32
	Offset    int64 // asked for
	Start     int64 // first offset that the log still holds
}

func (e *ErrOffsetBelowStart) Error() string {
	return fmt.Sprintf("%s/%d@%d: the log starts at %d, %d records before that are gone (retention, or deleted); "+
		"restore a newer state folder, or start with --accept-gap to go on from %d without them",
		e.Topic, e.Partition, e.Offset, e.Start, e.Start-e.Offset, e.Start)
}

// ErrOffsetAboveEnd says that the log ends before the offset that is asked for.
type ErrOffsetAboveEnd struct {
	Topic     string
	Partition int32
	Offset    int64 // asked for
	End       int64 // first offset that the log does not hold yet
}

func (e *ErrOffsetAboveEnd) Error() string {
	return fmt.Sprintf("%s/%d@%d: the log ends at %d: the broker lost records that were read, or it is another cluster, or the topic "+
		"was created anew; restore the broker's data, or give the app a new generation and an empty state folder",
		e.Topic, e.Partition, e.Offset, e.End)
}

// refusal turns a broker's error code into an error, nil for 0. Codes that waiting can't cure wrap a sentinel and name the cure.
func refusal(code int16, detail string) error {
	if code == 0 {
		return nil
	}
	err := error(kafkago.Error(code))
	if detail != "" {
		err = fmt.Errorf("%w (%s)", err, detail)
	}
	switch kafkago.Error(code) {
	case kafkago.SASLAuthenticationFailed:
		return fmt.Errorf("%w: %w; check user, password and mechanism", ErrDenied, err)
	case kafkago.UnsupportedSASLMechanism, kafkago.IllegalSASLState:
		return fmt.Errorf("%w: %w; choose a mechanism that the listener offers", ErrDenied, err)
	case kafkago.TopicAuthorizationFailed, kafkago.GroupAuthorizationFailed, kafkago.ClusterAuthorizationFailed,
		kafkago.TransactionalIDAuthorizationFailed:
		return fmt.Errorf("%w: %w; grant this user the right (kafka-acls.sh --add)", ErrDenied, err)
	case kafkago.TopicAlreadyExists:
		return fmt.Errorf("%w: %w", ErrTopicExists, err)
	case kafkago.MessageSizeTooLarge:
		return fmt.Errorf("%w: %w; raise the topic's max.message.bytes", ErrTooLarge, err)
	case kafkago.UnsupportedVersion:
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return err
}

// curable says whether an operation that failed with err may succeed when it is tried again.
func curable(err error) bool {
	for _, hopeless := range []error{ErrTopicMissing, ErrTopicExists, ErrTopicRecreated, ErrPartitionMissing, ErrDenied, ErrTooLarge,
		ErrUnsupported, ErrCorrupt, ErrConfig, errGate, context.Canceled} {
		if errors.Is(err, hopeless) {
			return false
		}
	}
	if below, above := (*ErrOffsetBelowStart)(nil), (*ErrOffsetAboveEnd)(nil); errors.As(err, &below) || errors.As(err, &above) {
		return false
	}
	if code := kafkago.Error(0); errors.As(err, &code) {
		return code.Temporary() || code == kafkago.Unknown || code == kafkago.BrokerNotAvailable || code == kafkago.ReplicaNotAvailable
	}
	return !faultyTLS(err)
}

// faultyTLS says whether a handshake failed for a reason that the next one would fail for as well.
func faultyTLS(err error) bool {
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	return errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &authority) || errors.As(err, &hostname)
}
