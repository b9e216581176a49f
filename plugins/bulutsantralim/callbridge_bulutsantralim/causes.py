"""Why a call ended, in words. The Turkish ones are the vendor's own labels."""

from __future__ import annotations

from bridge import Locale

CAUSES: dict[str, dict[Locale, str]] = {
    "USER_BUSY": {"tr": "Meşgul", "en": "Busy"},
    "ORIGINATOR_CANCEL": {"tr": "Vazgeçildi", "en": "Caller gave up"},
    "NO_ANSWER": {"tr": "Cevapsız", "en": "No answer"},
    "NORMAL_CLEARING": {"tr": "Cevaplandı", "en": "Answered"},
    "CALL_REJECTED": {"tr": "Reddedildi", "en": "Rejected"},
    "INCOMPATIBLE_DESTINATION": {"tr": "Ses kodekleri uyumsuz", "en": "No common audio codec"},
    "INCOMING_CALL_BARRED": {"tr": "Reddedildi", "en": "Rejected"},
    "UNALLOCATED_NUMBER": {"tr": "Hatalı Numara", "en": "Wrong number"},
    "NO_ROUTE_DESTINATION": {"tr": "Hatalı Numara", "en": "Wrong number"},
    "NO_USER_RESPONSE": {"tr": "Ulaşılamıyor", "en": "Not reachable"},
    "NORMAL_UNSPECIFIED": {"tr": "Cevaplandı", "en": "Answered"},
    "INVALID_NUMBER_FORMAT": {"tr": "Hatalı Numara", "en": "Wrong number"},
    "NOT_ALLOWED_BY_IYS": {"tr": "İYS izni yok", "en": "No consent on record (IYS)"},
    "FACILITY_REJECTED": {"tr": "Hata", "en": "Error"},
    "SERVICE_NOT_IMPLEMENTED": {"tr": "Hata", "en": "Error"},
    "FACILITY_NOT_IMPLEMENTED": {"tr": "Hata", "en": "Error"},
    "SERVICE_UNAVAILABLE": {"tr": "Genel Hata", "en": "General error"},
    "INTERWORKING": {"tr": "Genel Hata", "en": "General error"},
    "REDIRECTION_TO_NEW_DESTINATION": {"tr": "Cihaz yönlendirmesi", "en": "Forwarded by the phone"},
    "EXCHANGE_ROUTING_ERROR": {"tr": "Çağrı bağlanamadı", "en": "Could not be connected"},
    "MEDIA_TIMEOUT": {"tr": "RTP zamanaşımı", "en": "No audio received (RTP timeout)"},
    "SYSTEM_SHUTDOWN": {"tr": "Santral kapatılıyor", "en": "The exchange is shutting down"},
    "ATTENDED_TRANSFER": {"tr": "Katılımlı aktarım", "en": "Attended transfer"},
    "PICKED_OFF": {"tr": "Çağrısı çekildi", "en": "Picked up by a colleague"},
    "DESTINATION_OUT_OF_ORDER": {"tr": "Cihazla iletişim sorunu", "en": "The phone cannot be reached"},
    "NORMAL_TEMPORARY_FAILURE": {"tr": "Cihazla iletişim sorunu", "en": "The phone cannot be reached"},
    "NETWORK_OUT_OF_ORDER": {"tr": "İletişim sorunu", "en": "Network trouble"},
    "RECOVERY_ON_TIMER_EXPIRE": {"tr": "Zamanaşımı", "en": "Timed out"},
    "ALLOTTED_TIMEOUT": {"tr": "Cevapsız", "en": "No answer"},
    "BEARERCAPABILITY_NOTIMPL": {"tr": "Sesli görüşme yapamayan numara", "en": "The number takes no voice calls"},
    "LOSE_RACE": {"tr": "Diğer dahili cevapladı", "en": "Answered on another extension"},
    "CHAN_NOT_IMPLEMENTED": {"tr": "Desteklenmeyen kanal tipi", "en": "Unsupported channel type"},
    "NORMAL_CIRCUIT_CONGESTION": {"tr": "Arama için santral uygun durumda değil", "en": "The exchange is congested"},
    "INVALID_CALL_REFERENCE": {"tr": "Tanınmayan Çağrı ID numarası", "en": "Unknown call id"},
}
