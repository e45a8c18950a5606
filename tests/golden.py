"""Frames written by hand from the tables of SMPP 3.4 (5.0 for broadcast), beside the PDU each one is.

No encoder made them, so that a codec used at both ends of a test cannot hide its own mistakes.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.smpp import pdu


class Golden(NamedTuple):
    """Annotated hex (`#` opens a comment), the header's status and sequence number, and the body."""

    text: str
    status: int
    sequence: int
    body: pdu.Pdu

    @property
    def frame(self) -> bytes:
        """The octets."""
        return bytes.fromhex("".join(line.partition("#")[0] for line in self.text.splitlines()))


GOLDEN: dict[str, Golden] = {
    "bind_transceiver": Golden(
        """
        00000029 00000009 00000000 00000001
        53 4D 50 50 53 49 4D 00        # system_id SMPPSIM
        73 65 63 72 65 74 30 38 00     # password secret08
        4F 54 41 00                    # system_type OTA
        34                             # interface_version 3.4
        01 01                          # addr_ton international, addr_npi E.164
        00                             # address_range NULL
        """,
        0,
        1,
        pdu.BindTransceiver(b"SMPPSIM", b"secret08", b"OTA", 0x34, 1, 1, b""),
    ),
    "bind_transmitter of a 3.3 peer": Golden(
        """
        0000001D 00000002 00000000 00000001
        74 78 33 33 00                 # system_id tx33
        70 77 00                       # password pw
        00                             # system_type NULL
        33                             # interface_version 3.3
        00 00 00
        """,
        0,
        1,
        pdu.BindTransmitter(b"tx33", b"pw", b"", 0x33),
    ),
    "bind_receiver with an address range": Golden(
        """
        00000022 00000001 00000000 7FFFFFFF
        72 78 00                       # system_id rx
        70 77 00                       # password pw
        00
        50                             # interface_version 5.0
        00 00
        5E 33 38 30 30 31 24 00        # address_range ^38001$
        """,
        0,
        0x7FFFFFFF,
        pdu.BindReceiver(b"rx", b"pw", b"", 0x50, 0, 0, b"^38001$"),
    ),
    "bind_transceiver_resp with sc_interface_version": Golden(
        """
        0000001D 80000009 00000000 00000001
        53 4D 50 50 53 49 4D 00
        0210 0001 34
        """,
        0,
        1,
        pdu.BindTransceiverResp(b"SMPPSIM", ((0x0210, b"\x34"),)),
    ),
    "bind_transmitter_resp of a 3.3 peer": Golden(
        "00000015 80000002 00000000 00000001 74 78 33 33 00",
        0,
        1,
        pdu.BindTransmitterResp(b"tx33"),
    ),
    "bind_receiver_resp that refuses the password": Golden(
        "00000010 80000001 0000000E 00000001",
        0x0E,
        1,
        pdu.BindReceiverResp(),
    ),
    "outbind": Golden(
        """
        0000001F 0000000B 00000000 00000001
        53 4D 50 50 53 49 4D 00        # system_id SMPPSIM
        73 65 63 72 65 74 00           # password secret
        """,
        0,
        1,
        pdu.Outbind(b"SMPPSIM", b"secret"),
    ),
    "unbind": Golden("00000010 00000006 00000000 00000005", 0, 5, pdu.Unbind()),
    "unbind_resp": Golden("00000010 80000006 00000000 00000005", 0, 5, pdu.UnbindResp()),
    "enquire_link": Golden("00000010 00000015 00000000 00000006", 0, 6, pdu.EnquireLink()),
    "enquire_link_resp": Golden("00000010 80000015 00000000 00000006", 0, 6, pdu.EnquireLinkResp()),
    "generic_nack": Golden("00000010 80000000 00000003 FFFFFFFF", 3, 0xFFFFFFFF, pdu.GenericNack()),
    "submit_sm": Golden(
        """
        0000004B 00000004 00000000 0000000A
        43 4D 54 00                    # service_type CMT
        05 00 53 43 45 41 55 00        # source: alphanumeric, unknown plan, SCEAU
        01 01                          # destination: international, E.164
        33 33 36 31 32 33 34 35 36 37 38 00
        00 00 01                       # esm_class, protocol_id, priority_flag 1
        00                             # schedule_delivery_time NULL
        30 30 30 30 30 30 30 30 30 35 30 30 30 30 30 52 00   # validity_period 000000000500000R
        01 00 00 00                    # registered_delivery 1, replace 0, data_coding 0, default id 0
        07                             # sm_length
        43 6F 64 65 20 34 32           # Code 42
        """,
        0,
        10,
        pdu.SubmitSm(
            *(b"CMT", 5, 0, b"SCEAU", 1, 1, b"33612345678", 0, 0, 1),
            *(b"", b"000000000500000R", 1, 0, 0, 0, b"Code 42"),
        ),
    ),
    "submit_sm with message_payload and a vendor parameter": Golden(
        """
        00000038 00000004 00000000 0000000B
        00                             # service_type NULL
        03 00 33 38 30 30 31 00        # source: network specific, 38001
        01 01 33 33 36 31 32 00        # destination 33612
        00 00 00 00 00
        00 00 08 00                    # data_coding UCS-2
        00                             # sm_length 0
        0424 0004 00E9 20AC            # message_payload: e acute, euro sign
        1400 0001 FF                   # vendor specific
        """,
        0,
        11,
        pdu.SubmitSm(
            source_addr_ton=3,
            source_addr=b"38001",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=b"33612",
            data_coding=8,
            tlvs=((0x0424, b"\x00\xe9\x20\xac"), (0x1400, b"\xff")),
        ),
    ),
    "submit_sm_resp": Golden(
        "00000015 80000004 00000000 0000000A 31 32 61 42 00",
        0,
        10,
        pdu.SubmitSmResp(b"12aB"),
    ),
    "submit_sm_resp that throttles": Golden("00000010 80000004 00000058 0000000A", 0x58, 10, pdu.SubmitSmResp()),
    "deliver_sm with a receipt": Golden(
        """
        00000051 00000005 00000000 00000001
        00                             # service_type NULL
        01 01 33 33 36 31 32 33 34 35 36 37 38 00   # source 33612345678
        05 00 53 43 45 41 55 00        # destination SCEAU
        04 00 00                       # esm_class: SMSC delivery receipt
        00 00                          # schedule, validity NULL
        00 00 00 00
        12                             # sm_length 18
        69 64 3A 31 32 61 42 20 73 74 61 74 3A 44 45 4C 49 56   # id:12aB stat:DELIV
        001E 0005 31 32 61 42 00       # receipted_message_id 12aB
        0427 0001 02                   # message_state DELIVERED
        """,
        0,
        1,
        pdu.DeliverSm(
            *(b"", 1, 1, b"33612345678", 5, 0, b"SCEAU", 4, 0, 0),
            *(b"", b"", 0, 0, 0, 0, b"id:12aB stat:DELIV"),
            ((0x001E, b"12aB\x00"), (0x0427, b"\x02")),
        ),
    ),
    "deliver_sm with a concatenated part": Golden(
        """
        00000035 00000005 00000000 80000001
        00
        01 01 33 33 36 31 32 00        # source 33612
        02 08 33 38 30 30 31 00        # destination: national, national plan, 38001
        40 00 00                       # esm_class: user data header
        00 00
        00 00 00 00
        0A                             # sm_length 10
        06 08 04 00 2A 02 01           # UDH: 16-bit reference 42, 2 parts, part 1
        4F 75 69                       # Oui
        """,
        0,
        0x80000001,
        pdu.DeliverSm(
            *(b"", 1, 1, b"33612", 2, 8, b"38001", 0x40, 0, 0),
            *(b"", b"", 0, 0, 0, 0, b"\x06\x08\x04\x00\x2a\x02\x01Oui"),
        ),
    ),
    "deliver_sm_resp": Golden("00000011 80000005 00000000 00000001 00", 0, 1, pdu.DeliverSmResp()),
    "deliver_sm_resp that asks for a redelivery": Golden(
        "00000010 80000005 00000064 00000001", 0x64, 1, pdu.DeliverSmResp()
    ),
    "data_sm": Golden(
        """
        0000002D 00000103 00000000 0000000C
        56 4D 41 00                    # service_type VMA
        03 00 33 38 30 30 31 00        # source 38001
        01 01 33 33 36 00              # destination 336
        00 01 04                       # esm_class, registered_delivery 1, data_coding octets
        0424 0004 DE AD BE EF          # message_payload
        """,
        0,
        12,
        pdu.DataSm(
            *(b"VMA", 3, 0, b"38001", 1, 1, b"336", 0, 1, 4),
            ((0x0424, b"\xde\xad\xbe\xef"),),
        ),
    ),
    "data_sm_resp with the reason of a failure": Golden(
        """
        00000020 80000103 000000FE 0000000C
        37 37 00                       # message_id 77
        0425 0001 03                   # delivery_failure_reason: temporary
        001D 0004 62 75 73 79          # additional_status_info_text busy
        """,
        0xFE,
        12,
        pdu.DataSmResp(b"77", ((0x0425, b"\x03"), (0x001D, b"busy"))),
    ),
    "submit_multi": Golden(
        """
        0000003E 00000021 00000000 0000000D
        00                             # service_type NULL
        00 00 33 38 00                 # source 38
        03                             # number_of_dests
        01 01 01 33 33 36 31 00        # SME 3361
        02 56 49 50 00                 # distribution list VIP
        01 00 00 36 00                 # SME 6
        00 00 00                       # esm_class, protocol_id, priority_flag
        00 00                          # schedule, validity NULL
        01 00 03 00                    # registered_delivery 1, replace 0, Latin-1, default id 0
        0B                             # sm_length 11
        4D 65 73 73 61 67 65 20 E9 74 E9   # Message e-acute t e-acute
        """,
        0,
        13,
        pdu.SubmitMulti(
            source_addr=b"38",
            dest_addresses=(
                pdu.SmeAddress(1, 1, b"3361"),
                pdu.DistributionList(b"VIP"),
                pdu.SmeAddress(0, 0, b"6"),
            ),
            registered_delivery=1,
            data_coding=3,
            short_message=b"Message \xe9t\xe9",
        ),
    ),
    "submit_multi_resp with two failures": Golden(
        """
        00000027 80000021 00000000 0000000D
        41 39 00                       # message_id A9
        02                             # no_unsuccess
        01 01 33 33 36 31 00 0000000B  # 3361: ESME_RINVDSTADR
        00 00 36 00 00000400           # 6: a vendor's status
        """,
        0,
        13,
        pdu.SubmitMultiResp(
            b"A9",
            (pdu.UnsuccessSme(1, 1, b"3361", 0x0B), pdu.UnsuccessSme(0, 0, b"6", 0x400)),
        ),
    ),
    "query_sm": Golden(
        """
        0000001D 00000003 00000000 0000000E
        31 32 61 42 00                 # message_id 12aB
        05 00 53 43 45 41 55 00        # source SCEAU
        """,
        0,
        14,
        pdu.QuerySm(b"12aB", 5, 0, b"SCEAU"),
    ),
    "query_sm_resp": Golden(
        """
        00000028 80000003 00000000 0000000E
        31 32 61 42 00                 # message_id 12aB
        32 36 31 31 32 33 30 37 30 30 30 30 30 30 30 2B 00   # final_date 261123070000000+
        05                             # message_state UNDELIVERABLE
        21                             # error_code 33
        """,
        0,
        14,
        pdu.QuerySmResp(b"12aB", b"261123070000000+", 5, 33),
    ),
    "cancel_sm": Golden(
        """
        0000001F 00000008 00000000 0000000F
        00                             # service_type NULL
        37 37 00                       # message_id 77
        03 00 33 38 00                 # source 38
        01 01 33 33 36 00              # destination 336
        """,
        0,
        15,
        pdu.CancelSm(b"", b"77", 3, 0, b"38", 1, 1, b"336"),
    ),
    "cancel_sm_resp that fails": Golden("00000010 80000008 00000011 0000000F", 0x11, 15, pdu.CancelSmResp()),
    "replace_sm": Golden(
        """
        0000002F 00000007 00000000 00000010
        37 37 00                       # message_id 77
        03 00 33 38 00                 # source 38
        00                             # schedule_delivery_time NULL
        30 30 30 30 30 31 30 30 30 30 30 30 30 30 30 52 00   # validity_period: one day
        01 00                          # registered_delivery, sm_default_msg_id
        02 4F 4B                       # sm_length, OK
        """,
        0,
        16,
        pdu.ReplaceSm(b"77", 3, 0, b"38", b"", b"000001000000000R", 1, 0, b"OK"),
    ),
    "replace_sm_resp": Golden("00000010 80000007 00000000 00000010", 0, 16, pdu.ReplaceSmResp()),
    "alert_notification": Golden(
        """
        00000020 00000102 00000000 00000011
        01 01 33 33 36 00              # source 336
        03 00 33 38 00                 # esme_addr 38
        0422 0001 00                   # ms_availability_status: available
        """,
        0,
        17,
        pdu.AlertNotification(1, 1, b"336", 3, 0, b"38", ((0x0422, b"\x00"),)),
    ),
    "broadcast_sm": Golden(
        """
        0000003A 00000111 00000000 00000012
        43 42 53 00                    # service_type CBS
        03 00 33 38 00                 # source 38
        00                             # message_id NULL
        01                             # priority_flag
        00 00                          # schedule, validity NULL
        00 00 00                       # replace_if_present_flag, data_coding, sm_default_msg_id
        0606 0002 01 41                # broadcast_area_identifier: alias A
        0601 0003 01 0001              # broadcast_content_type: GSM, 1
        0604 0002 0005                 # broadcast_rep_num 5
        0605 0003 09 000A              # broadcast_frequency_interval: 10 minutes
        """,
        0,
        18,
        pdu.BroadcastSm(
            service_type=b"CBS",
            source_addr_ton=3,
            source_addr=b"38",
            priority_flag=1,
            tlvs=(
                (0x0606, b"\x01A"),
                (0x0601, b"\x01\x00\x01"),
                (0x0604, b"\x00\x05"),
                (0x0605, b"\x09\x00\x0a"),
            ),
        ),
    ),
    "broadcast_sm_resp": Golden("00000013 80000111 00000000 00000012 42 31 00", 0, 18, pdu.BroadcastSmResp(b"B1")),
    "query_broadcast_sm": Golden(
        "00000018 00000112 00000000 00000013 42 31 00 03 00 33 38 00",
        0,
        19,
        pdu.QueryBroadcastSm(b"B1", 3, 0, b"38"),
    ),
    "query_broadcast_sm_resp": Golden(
        """
        0000001D 80000112 00000000 00000013
        42 31 00                       # message_id B1
        0427 0001 01                   # message_state ENROUTE
        0608 0001 64                   # broadcast_area_success 100 %
        """,
        0,
        19,
        pdu.QueryBroadcastSmResp(b"B1", ((0x0427, b"\x01"), (0x0608, b"\x64"))),
    ),
    "cancel_broadcast_sm": Golden(
        "0000001C 00000113 00000000 00000014 43 42 53 00 42 31 00 03 00 33 38 00",
        0,
        20,
        pdu.CancelBroadcastSm(b"CBS", b"B1", 3, 0, b"38"),
    ),
    "cancel_broadcast_sm_resp": Golden("00000010 80000113 00000000 00000014", 0, 20, pdu.CancelBroadcastSmResp()),
}
